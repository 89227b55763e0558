"""Whoever waits for a run's answer and goes away: the run ends with them, through the proxy that stands in between."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import pytest

from tests.kit.door import Door
from tests.kit.probes import probe, source
from tests.kit.reference import Reference
from tests.kit.service import Service

_SLEEPS_S, _WITHIN_S = 25, 15
_BODY = b'{"input_value": "hello"}'


@pytest.fixture(scope="module")
def slow(door: Door, reference: Reference) -> str:
    return door.publish(probe(reference, source(head="import time", body=f"time.sleep({_SLEEPS_S})")))


@pytest.mark.parametrize("apart", [False, True], ids=["in one packet", "head and body apart"])
def test_a_run_ends_with_the_connection_that_waits_for_it(
    service: Service, door: Door, slow: str, *, apart: bool
) -> None:
    head = (
        f"POST /api/v1/run/{slow} HTTP/1.1\r\nhost: flowray\r\nx-api-key: {service.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(_BODY)}\r\n\r\n"
    ).encode()
    where = urlsplit(service.url)
    with socket.create_connection((str(where.hostname), int(where.port or 80))) as line:
        for part in (head, _BODY) if apart else (head + _BODY,):
            line.sendall(part)
            time.sleep(0.05)
        assert "running" in until(door, slow, lambda statuses: "running" in statuses)

    left = until(door, slow, lambda statuses: "running" not in statuses)
    assert set(left) == {"cancelled"}


def until(door: Door, flow: str, fits: Callable[[Sequence[str]], bool]) -> Sequence[str]:
    """How the flow's runs stand once that fits, or when patience ends."""
    patience_ends = time.monotonic() + _WITHIN_S
    while True:
        runs = door.http.get("/api/v1/runs").json()["runs"]
        statuses = [run["status"] for run in runs if run["flow"]["id"] == flow]
        if fits(statuses) or time.monotonic() > patience_ends:
            return statuses
        time.sleep(0.2)
