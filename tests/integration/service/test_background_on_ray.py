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
from tests.kit.processes import descendants
from tests.kit.service import Service, running_service

_ENDS_WITHIN_S = 120


@pytest.fixture(scope="module")
def own_service() -> Iterator[Service]:
    with running_service() as service:
        yield service


@pytest.fixture(scope="module")
def http(own_service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own_service.url, headers={"x-api-key": own_service.key}, timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def slow(http: httpx.Client) -> str:
    """A flow whose middle node takes two seconds."""
    document = flow_of("through", effect="replay", sleep_s=2.0) | {"name": "slow"}
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
        told = response.json()
        if response.is_success and told["status"] in statuses:
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def kill(service: Service, word: str) -> None:
    for pid in [pid for pid, command in descendants(service.supervisor).items() if word in command]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("word", ["ServeReplica:flowray:engine", "ServeReplica:flowray:gateway", "gcs_server"])
def test_a_run_ends_although_a_part_of_the_service_is_killed(
    own_service: Service, http: httpx.Client, slow: str, word: str
) -> None:
    run = submitted(http, slow)
    until(http, run, "running")
    kill(own_service, word)
    assert until(http, run, "succeeded", "failed", "cancelled")["status"] == "succeeded"


def test_accepted_runs_end_although_redis_is_emptied(own_service: Service, http: httpx.Client, slow: str) -> None:
    runs = [submitted(http, slow) for _ in range(3)]
    folder = Path(own_service.environment["FLOWRAY_HOME"], "valkey")
    port = next(line.split()[1] for line in (folder / "valkey.conf").read_text().splitlines() if "port " in line)
    with redis.Redis(port=int(port), password=(folder / "password").read_text()) as client:
        client.flushall()
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
