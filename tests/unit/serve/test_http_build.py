"""The editor's build, when its run cannot begin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import NodeStarted, Recorded, StepEvent
from flowray.engine.ports import RunRequest
from flowray.errors import StoreUnavailableError
from flowray_serve.routes import build
from tests.unit.serve.service import ECHO, service


async def test_a_build_whose_run_is_refused_says_so_and_names_no_job() -> None:
    made = service()

    async def refuses(request: RunRequest, **_: Any) -> None:
        raise StoreUnavailableError(f"No room for a run of {request.tenant}.")

    made.services.runs.execute = refuses  # type: ignore[method-assign,assignment]
    answer = await made.http.post(f"/api/v1/build/{await made.publish(ECHO)}/flow", json={})
    assert (answer.status_code, answer.json()["detail"]) == (503, "No room for a run of default.")


async def test_a_build_whose_journal_does_not_answer_is_stopped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_BEGIN_S", 0.05)
    made = service()

    async def silent(tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        await asyncio.Event().wait()

    made.journal.append = silent  # type: ignore[method-assign]
    answer = await made.http.post(f"/api/v1/build/{await made.publish(ECHO)}/flow", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, StoreUnavailableError.code)


async def test_a_build_that_is_read_directly_says_that_it_was_stopped() -> None:
    made = service()
    run = asyncio.get_running_loop().create_future()

    async def waits(request: RunRequest, step: StartStep) -> AsyncIterator[StepEvent]:
        run.set_result(request.run)
        await asyncio.Event().wait()
        for node in request.plan.by_id[step.step].nodes:
            yield NodeStarted(node=node)

    made.steps.script = waits
    address = f"/api/v1/build/{await made.publish(ECHO)}/flow?event_delivery=direct"
    building = asyncio.create_task(made.http.post(address, json={}))
    stopped = await made.http.post(f"/api/v1/build/{await run}/cancel")

    frames = [json.loads(line) for line in (await building).text.splitlines() if line]
    assert stopped.status_code == 200
    assert [frame["event"] for frame in frames[-2:]] == ["error", "end"]
    assert "cancelled" in frames[-2]["data"]["error"]
