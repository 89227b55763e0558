"""A whole service on this machine: what it opens, what it survives, and what it leaves."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowray_serve.home import Home
from tests.kit.door import Door
from tests.kit.footprint import groups_of, runner_of
from tests.kit.processes import descendants, in_folder, listening_beyond_loopback, named
from tests.kit.service import PAGE, Service, running_service

_RECOVERS_WITHIN_S = 90


@pytest.fixture(scope="session")
def flow(door: Door, report: dict[str, Any]) -> str:
    return door.publish(report)


@pytest.fixture
def own_service() -> Iterator[Service]:
    with running_service() as service:
        yield service


def the_process(service: Service, name: str) -> int:
    (found,) = named(service.supervisor, name)
    return found


def test_nothing_listens_beyond_loopback(service: Service) -> None:
    pids = set(descendants(service.supervisor))

    assert len(pids) > 8
    assert listening_beyond_loopback(pids) == []


def test_a_second_start_in_the_same_home_is_refused(service: Service) -> None:
    again = service.flowray("up")

    assert again.returncode == 2
    assert service.url in again.stderr


def test_the_command_line_finds_the_service_of_its_home(service: Service, door: Door, flow: str) -> None:
    run = door.run(flow).run

    listed = service.flowray("runs")

    assert listed.returncode == 0
    assert run in listed.stdout


def test_a_page_that_was_named_runs_a_flow_and_others_are_refused(service: Service, flow: str) -> None:
    first = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-api-key"}
    with httpx.Client(base_url=service.url, headers={"origin": PAGE}, timeout=60) as page:
        asked = page.options(f"/api/v1/run/{flow}", headers=first)
        others = page.options(f"/api/v1/run/{flow}", headers={**first, "origin": "https://elsewhere.test"})
        ran = page.post(f"/api/v1/run/{flow}", json={}, headers={"x-api-key": service.key})
        refused = page.post(f"/api/v1/run/{flow}", json={})

    assert [one.status_code for one in (asked, others, ran, refused)] == [200, 400, 200, 403]
    assert {one.headers["access-control-allow-origin"] for one in (asked, ran, refused)} == {PAGE}
    assert "access-control-allow-origin" not in others.headers


def test_a_page_that_was_named_reads_what_the_proxy_answers_by_itself(service: Service) -> None:
    by_origin = {
        origin: httpx.get(f"{service.url}/-/routes", headers={"origin": origin}).headers
        for origin in (PAGE, "https://elsewhere.test")
    }

    assert by_origin.pop(PAGE)["access-control-allow-origin"] == PAGE
    assert not any("access-control-allow-origin" in headers for headers in by_origin.values())


@pytest.mark.parametrize("name", ["ray::ServeReplica:flowray:runner-default", "ray::ServeReplica:flowray:gateway"])
def test_a_replica_that_is_killed_comes_back(service: Service, door: Door, flow: str, name: str) -> None:
    killed = the_process(service, name)
    os.kill(killed, signal.SIGKILL)

    assert _runs_again(door, flow)
    assert the_process(service, name) != killed


def test_valkey_that_is_killed_comes_back(service: Service, door: Door, flow: str) -> None:
    before = door.run(flow).run
    os.kill(the_process(service, "valkey-server"), signal.SIGKILL)

    assert _runs_again(door, flow)
    assert set(door.statuses(before).values()) == {"finished"}


def test_a_killed_service_starts_again_with_its_flows_and_goes_without_a_trace(
    own_service: Service, report: dict[str, Any]
) -> None:
    run_folder = Home(Path(own_service.environment["FLOWRAY_HOME"])).run
    headers = {"x-api-key": own_service.key}
    with httpx.Client(base_url=own_service.url, headers=headers, timeout=120) as http:
        flow = Door(http).publish(report)
        runner = runner_of(own_service.supervisor)
        os.kill(runner, signal.SIGKILL)
        os.kill(own_service.supervisor, signal.SIGKILL)

        assert own_service.flowray("up", "--detach", within_s=240).returncode == 0
        assert Door(http).run(flow).texts

    assert own_service.flowray("down").returncode == 0
    assert in_folder(run_folder) == {}
    assert groups_of(runner) == []


def _runs_again(door: Door, flow: str) -> bool:
    """Whether the flow runs again in bounded time."""
    deadline = time.monotonic() + _RECOVERS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            response = door.http.post(f"/api/v1/run/{flow}", json={})
        except httpx.TransportError:
            continue
        if response.status_code == httpx.codes.OK:
            return True
    return False
