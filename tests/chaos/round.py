"""One round of chaos: a service and stores of its own, a load, a monkey, and the verdict over all that happened."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.flows import order
from tests.chaos.history import Event, History, endings, faults
from tests.chaos.load import Load
from tests.chaos.monkey import ACTS, Monkey
from tests.chaos.stores import running_stores
from tests.chaos.world import running_world
from tests.kit.service import running_service

_SETTLES_S = 300.0
# Fewer than the load would like to have at one time, so that the quotas are what decides.
STEPS_AT_ONCE, QUEUED = 8, 200


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a round was. `most_at_once` is what the world saw of the steps that may be at work, `quota_steps`."""

    seed: int
    took_s: float
    accepted: int
    refused: Mapping[str, int]
    answered: int
    answers_refused: Mapping[str, int]
    done: Mapping[str, int]
    endings: Mapping[str, int]
    effects: int
    quota_steps: int
    most_at_once: int
    faults: tuple[str, ...]
    # Of the runs that are at fault.
    journals: Mapping[str, Sequence[Event]]


def play(
    *,
    seed: int,
    for_s: float,
    acts: Sequence[str] = ACTS,
    callers: int = 4,
    pause_s: float = 0.2,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Report, History]:
    """Play for a time, wait until all that was accepted is over, and judge. `tell` hears each act."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running_stores(Path(folder)) as stores, running_world() as world:
        quotas = {"FLOWRAY_QUOTAS__STEPS": str(STEPS_AT_ONCE), "FLOWRAY_QUOTAS__QUEUED": str(QUEUED)}
        settings = {**stores.settings, **quotas, "FLOWRAY_POOLS": _pools(world.host)}
        with running_service(settings=settings) as service:
            load = Load(service, world, seed=seed, callers=callers, pause_s=pause_s)

            def heard(act: str) -> None:
                tell(f"{len(load.accepted)} accepted; {act}")

            monkey = Monkey(service, stores, seed, acts=acts, tell=heard)
            load.start()
            monkey.play(for_s)
            load.stop()
            tell(f"{len(load.accepted)} accepted; waiting for their ends")
            journals = load.journals(within_s=_SETTLES_S)
    history = History(
        accepted=tuple(load.accepted),
        journals=journals,
        effects=dict(world.effects),
        answers=dict(load.people.answers),
        order=order(load.documents),
        at_once=world.most_at_once,
        quota=STEPS_AT_ONCE,
    )
    found = tuple(faults(history))
    report = Report(
        seed=seed,
        took_s=round(time.monotonic() - began, 1),
        accepted=len(history.accepted),
        refused=dict(load.refused),
        answered=sum(len(answers) for answers in load.people.answers.values()),
        answers_refused=dict(load.people.refused),
        done=dict(sorted(monkey.done.items())),
        endings=dict(sorted(endings(history).items())),
        effects=sum(history.effects.values()),
        quota_steps=STEPS_AT_ONCE,
        most_at_once=world.most_at_once,
        faults=found,
        journals={run: journals[run] for run in journals if any(run in fault for fault in found)},
    )
    return report, history


def _pools(host: str) -> str:
    """Two Runners, so that there is one when the other is gone; runs may reach the world."""
    return json.dumps(
        {"default": {"replicas": 2, "standby": 0, "spares": 3, "egress": [host], "private_hosts": [host]}}
    )
