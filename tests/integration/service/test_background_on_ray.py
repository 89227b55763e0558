"""Background runs on a real cluster, while parts of it die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.chaos.flows import flow_of
from tests.kit.door import Door
from tests.kit.frames import frames
from tests.kit.processes import named
from tests.kit.service import Service, running_service

_ENDS_WITHIN_S = 120
FIRST, MIDDLE, LAST = "ChatInput-A", "CustomComponent-B", "ChatOutput-C"


@pytest.fixture(scope="module")
def own_service() -> Iterator[Service]:
    with running_service(standby=1) as service:
        yield service


@pytest.fixture(scope="module")
def http(own_service: Service) -> Iterator[httpx.Client]:
    with own_service.client() as http:
        yield http


@pytest.fixture(scope="module")
def slow(http: httpx.Client) -> str:
    """A flow whose middle node takes two seconds."""
    document = flow_of(Door(http), "through", effect="replay", sleep_s=2.0) | {"name": "slow"}
    return str(http.post("/api/v1/flows/", json=document).json()["id"])


def submitted(http: httpx.Client, flow: str) -> str:
    response = http.post("/api/v2/workflows", json={"flow_id": flow, "mode": "background", "input_value": "hi"})
    assert response.status_code == 202, response.text
    return str(response.json()["job_id"])


def until(http: httpx.Client, run: str, *statuses: str) -> dict[str, Any]:
    """The run's story once it has one of these statuses."""
    deadline = time.monotonic() + _ENDS_WITHIN_S
    told: dict[str, Any] = {}
    while time.monotonic() < deadline:
        try:
            response = http.get(f"/api/v1/runs/{run}")
        except httpx.TransportError:
            continue
        if response.is_success and (told := response.json())["status"] in statuses:
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def kill(service: Service, word: str) -> None:
    for pid in named(service.supervisor, word):
        os.kill(pid, signal.SIGKILL)


def begun(http: httpx.Client, run: str) -> str:
    """The Runner of the run, once the node in the middle of its only step has begun."""
    runner = ""
    with http.stream("GET", f"/api/v1/runs/{run}/events") as response:
        for event in frames(response.iter_lines()):
            runner = str(event.get("runner", runner))
            if event.get("kind") == "node_started" and event["node"] == MIDDLE:
                return runner
    raise AssertionError("it has not begun")


def starts(http: httpx.Client, run: str) -> dict[str, int]:
    """How often each node of a run was begun."""
    return {node["node"]: node.get("runs", 0) for node in http.get(f"/api/v1/runs/{run}").json()["nodes"]}


def empty_redis(service: Service) -> None:
    with redis.Redis.from_url(service.redis_url) as client:
        client.flushall()


def process_of(service: Service, runner: str) -> int:
    """The process of the Runner with this name: it has its zygote's log open."""
    for pid in named(service.supervisor, "ServeReplica:flowray:runner"):
        files = [one.resolve().name for one in Path(f"/proc/{pid}/fd").iterdir()]
        if any(file.endswith(f"-{runner}.log") for file in files):
            return pid
    raise AssertionError(runner)


@pytest.mark.parametrize("word", ["ServeReplica:flowray:engine", "ServeReplica:flowray:gateway", "gcs_server"])
def test_a_run_ends_although_a_part_of_the_service_is_killed(
    own_service: Service, http: httpx.Client, slow: str, word: str
) -> None:
    run = submitted(http, slow)
    begun(http, run)
    kill(own_service, word)
    assert until(http, run, "succeeded", "failed", "cancelled")["status"] == "succeeded"
    assert starts(http, run)[FIRST] == 1


def test_accepted_runs_end_although_redis_is_emptied(own_service: Service, http: httpx.Client, slow: str) -> None:
    runs = [submitted(http, slow) for _ in range(3)]
    empty_redis(own_service)
    for run in runs:
        assert until(http, run, "succeeded", "failed", "cancelled")["status"] == "succeeded"


def test_a_running_run_is_stopped_within_three_seconds(http: httpx.Client, slow: str) -> None:
    run = submitted(http, slow)
    until(http, run, "running")
    began = time.monotonic()
    assert "cancelled" in http.post("/api/v2/workflows/stop", json={"job_id": run}).json()["message"]
    took_s = time.monotonic() - began
    assert until(http, run, "cancelled")["status"] == "cancelled"
    assert took_s < 3


def test_a_run_is_followed_over_a_websocket(own_service: Service, http: httpx.Client, slow: str) -> None:
    connect = pytest.importorskip("websockets.sync.client").connect
    run = submitted(http, slow)
    url = own_service.url.replace("http", "ws", 1) + f"/api/v1/runs/{run}/ws"
    with connect(url, additional_headers={"x-api-key": own_service.key}) as socket:
        told = list(socket)
    assert '"kind":"run_finished"' in told[-1]


def test_what_had_finished_inside_a_step_does_not_run_again_when_its_runner_is_killed(
    own_service: Service, http: httpx.Client
) -> None:
    document = flow_of(Door(http), "through", effect="replay", sleep_s=4.0) | {"name": "slower"}
    run = submitted(http, str(http.post("/api/v1/flows/", json=document).json()["id"]))
    os.kill(process_of(own_service, begun(http, run)), signal.SIGKILL)
    assert until(http, run, "succeeded", "failed", "cancelled")["status"] == "succeeded"
    assert starts(http, run) == {FIRST: 1, MIDDLE: 2, LAST: 1}


def test_a_paused_run_is_answered_after_its_engine_was_killed_and_redis_emptied(
    own_service: Service, http: httpx.Client
) -> None:
    document = flow_of(Door(http), "asking", effect="replay") | {"name": "asking"}
    run = submitted(http, str(http.post("/api/v1/flows/", json=document).json()["id"]))
    until(http, run, "paused")
    kill(own_service, "ServeReplica:flowray:engine")
    empty_redis(own_service)
    until(http, run, "paused")

    deadline = time.monotonic() + _ENDS_WITHIN_S
    while not (asked := http.get("/api/v2/workflows/pending").json()) and time.monotonic() < deadline:
        time.sleep(0.1)
    answer = {"request_id": asked[0]["request_id"], "decision": {"action_id": "approve"}}
    assert http.post(f"/api/v2/workflows/{run}/resume", json=answer).status_code == 200

    assert until(http, run, "succeeded", "failed", "cancelled")["status"] == "succeeded"
    assert starts(http, run)[FIRST] == 1


def test_a_node_that_may_be_cached_runs_once_for_the_same_input(http: httpx.Client) -> None:
    document = flow_of(Door(http), "through", effect="replay") | {"name": "cached"}
    for node in document["data"]["nodes"]:
        if node["id"] == MIDDLE:
            node["data"]["node"]["metadata"]["flowray"] = {"cache_s": 600}
    flow = str(http.post("/api/v1/flows/", json=document).json()["id"])

    stories = [until(http, submitted(http, flow), "succeeded", "failed") for _ in range(2)]

    assert [story["status"] for story in stories] == ["succeeded", "succeeded"]
    told = [node["cached"] for story in stories for node in story["nodes"] if node["node"] == MIDDLE]
    assert told == [False, True]
