"""Runs over HTTP: what was run, how far it is, and its journal."""

from __future__ import annotations

import asyncio

import pytest
from starlette.testclient import TestClient

from flowray.client.sse import Frame, frames
from flowray.engine import events as ev
from flowray.engine.codec import decode
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, Held, Service, service


async def ran(made: Service, *times: int) -> list[str]:
    flow_id = await made.publish(ECHO)
    return [(await made.http.post(f"/api/v1/run/{flow_id}", json={})).headers["x-flowray-run"] for _ in times or (1,)]


async def journal_of(made: Service, run: str, **asked: dict[str, str]) -> list[Frame]:
    response = await made.http.get(f"/api/v1/runs/{run}/events", **asked)  # type: ignore[arg-type]
    assert response.headers["content-type"].startswith("text/event-stream")
    return list(frames(response.text.splitlines()))


async def test_runs_are_listed_newest_first() -> None:
    made = service()
    runs = await ran(made, 1, 2, 3)
    listed = (await made.http.get("/api/v1/runs?limit=2")).json()["runs"]
    assert [run["id"] for run in listed] == [runs[2], runs[1]]
    assert {run["status"] for run in listed} == {"succeeded"}


async def test_a_run_tells_which_runner_took_its_nodes() -> None:
    made = service()
    (run,) = await ran(made)
    told = (await made.http.get(f"/api/v1/runs/{run}")).json()
    assert {node["runner"] for node in told["nodes"]} == {"node-a/1"}
    assert told["flow"]["name"] == "Echo"


async def test_a_journal_is_a_stream_of_its_events() -> None:
    made = service()
    (run,) = await ran(made)
    told = await journal_of(made, run)
    assert [frame.id for frame in told] == [str(n) for n in range(1, 11)]
    assert (told[0].event, told[-1].event) == ("run_accepted", "run_finished")
    assert [decode(frame.data.encode()) for frame in told] == [
        one async for one in made.journal.read("default", ev.RunId(run))
    ]


@pytest.mark.parametrize("asked", [{"headers": {"last-event-id": "8"}}, {"params": {"after": "8"}}])
async def test_a_reader_that_comes_back_continues_after_its_last_event(asked: dict[str, dict[str, str]]) -> None:
    made = service()
    (run,) = await ran(made)
    assert [frame.id for frame in await journal_of(made, run, **asked)] == ["9", "10"]


async def test_a_live_run_is_followed_to_its_end() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    made.steps.script = held = Held()
    running = asyncio.create_task(made.http.post(f"/api/v1/run/{flow_id}", json={}))
    await held.began.wait()
    following = asyncio.create_task(journal_of(made, made.steps.requests[0].run))
    held.go_on.set()
    assert [frame.event for frame in await following] == [
        "run_accepted",
        "run_started",
        "step_queued",
        "step_started",
        "node_started",
        "node_started",
        "step_finished",
        "run_finished",
    ]
    await running


@pytest.mark.parametrize("path", ["", "/events"])
async def test_a_run_of_another_tenant_does_not_exist(path: str) -> None:
    made = service()
    (run,) = await ran(made)
    response = await made.http.get(f"/api/v1/runs/{run}{path}", headers={"x-api-key": OTHER_KEY})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert (await made.http.get("/api/v1/runs", headers={"x-api-key": OTHER_KEY})).json() == {"runs": []}


async def test_a_reader_that_saw_the_end_gets_an_empty_stream() -> None:
    made = service()
    (run,) = await ran(made)
    assert await journal_of(made, run, params={"after": "10"}) == []


async def test_a_reader_that_has_seen_no_id_gets_the_whole_journal() -> None:
    made = service()
    (run,) = await ran(made)
    assert len(await journal_of(made, run, headers={"last-event-id": ""})) == 10
    assert [
        frame.id for frame in await journal_of(made, run, headers={"last-event-id": ""}, params={"after": "9"})
    ] == ["10"]


@pytest.mark.parametrize("last", ["-1", "x", "1" * 400])
async def test_a_last_event_id_that_is_none_is_refused(last: str) -> None:
    made = service()
    (run,) = await ran(made)
    response = await made.http.get(f"/api/v1/runs/{run}/events", headers={"last-event-id": last})
    assert response.status_code == 422


@pytest.mark.parametrize("after", ["-1", "zz", "", "\u00b2", "1" * 40])
async def test_a_socket_after_an_event_that_is_none_is_closed_with_the_reason(after: str) -> None:
    made = service()
    (run,) = await ran(made)
    client = TestClient(made.app, headers={"x-api-key": KEY})

    with client.websocket_connect(f"/api/v1/runs/{run}/ws?after={after}") as socket:
        told = socket.receive()

    assert (told["type"], told["code"]) == ("websocket.close", 1008)
    assert "`after` is the number of an event" in told["reason"]


async def test_cancelling_a_run_that_is_over_is_a_conflict() -> None:
    made = service()
    (run,) = await ran(made)
    response = await made.http.post(f"/api/v1/runs/{run}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert "it has succeeded" in response.json()["detail"]


async def test_a_run_that_nobody_stops_is_told_so_in_bounded_time() -> None:
    made = service(stopped_s=0.05)
    run = ev.RunId("44444444-4444-4444-8444-444444444444")
    accepted = ev.RunAccepted(tenant="default", flow="f", flow_name="Echo", version="v", session="s")
    await made.journal.append("default", [ev.Recorded(seq=1, at=1.0, run=run, event=accepted)])
    response = await made.http.post(f"/api/v1/runs/{run}/cancel")
    assert (response.status_code, response.json()["code"]) == (503, "not_stopped_yet")
