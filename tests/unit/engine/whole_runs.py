"""Requests and engines for tests that drive whole runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from flowray.engine.codec import kind_of
from flowray.engine.events import Recorded, RunAccepted, RunFinished, RunId
from flowray.engine.fake import FakeSteps
from flowray.engine.ledger import Durability
from flowray.engine.loop import Engine
from flowray.engine.ports import Journal, RunRequest
from flowray.flow.types import Flow
from flowray.plan.types import Plan
from flowray.stores.memory_journal import MemoryJournal

RUN = RunId("run-1")
TENANT = "acme"
ACCEPTED = RunAccepted(tenant=TENANT, flow="flow-1", flow_name="Test flow", version="test", session="s")


def request(plan: Plan) -> RunRequest:
    flow = Flow(name="Test flow", nodes=(), edges=())
    return RunRequest(run=RUN, tenant=TENANT, flow=flow, flow_id="flow-1", plan=plan, session="s")


def engine(
    steps: FakeSteps,
    journal: Journal | None = None,
    *,
    name: str = "engine-1",
    durability: Durability = "pipelined",
    now: float = 1.5,
) -> Engine:
    return Engine(
        journal or MemoryJournal(),
        steps,
        name=name,
        clock=lambda: now,
        durability=durability,
        sleep=no_time,
    )


async def no_time(seconds: float) -> None:
    """Time between tries that passes at once."""
    del seconds


def kinds(recorded: list[Recorded] | tuple[Recorded, ...]) -> list[str]:
    return [kind_of(one.event) for one in recorded]


def end_of(recorded: list[Recorded] | tuple[Recorded, ...]) -> RunFinished:
    last = recorded[-1].event
    assert isinstance(last, RunFinished)
    return last


async def journaled(journal: Journal) -> list[Recorded]:
    return [one async for one in journal.read(TENANT, RUN)]


async def all_of(told: AsyncIterator[Recorded]) -> list[Recorded]:
    """All events of a run that is told as it goes."""
    return [one async for one in told]
