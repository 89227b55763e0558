"""A service on a cluster of several nodes that others look after."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from tests.contract.servers import running_valkey
from tests.kit.door import Door
from tests.kit.examples import example
from tests.kit.nodes import running_nodes
from tests.kit.service import Service, running_service

ROOM = 2
GROWS_WITHIN_S = 120


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The gateway is on the first node; all Runners have to be on the second."""
    folder = tmp_path_factory.mktemp("n")
    pool = {"spares": 2, "labels": {"place": "second"}, "most_replicas": 2, "max_running": ROOM}
    stores = {"FLOWRAY_OBJECTS__URL": str(folder / "objects"), "FLOWRAY_POOLS": json.dumps({"default": pool})}
    with ExitStack() as stack:
        redis = stack.enter_context(running_valkey(folder / "valkey"))
        cluster = stack.enter_context(running_nodes(folder))
        settings = {**cluster, **stores, "FLOWRAY_REDIS__URL": redis}
        yield stack.enter_context(running_service(settings=settings))


@pytest.fixture(scope="module")
def spread(service: Service) -> Iterator[Door]:
    with service.client(timeout_s=120) as client:
        yield Door(client)


def test_steps_run_on_another_node(spread: Door) -> None:
    answer = spread.run(spread.publish(spread.expand(example("report"))), "Write to ada@example.org before 2026-03-01.")

    assert "ada@example.org" in answer.text


def test_a_pool_grows_while_its_runners_are_full(spread: Door) -> None:
    flow = spread.publish(slow_flow())
    runners: set[str] = set()
    deadline = time.monotonic() + GROWS_WITHIN_S

    with ThreadPoolExecutor(2 * ROOM) as callers:
        while len(runners) < ROOM and time.monotonic() < deadline:
            runs = list(callers.map(lambda _: spread.run(flow).run, range(2 * ROOM)))
            runners |= {node["runner"] for run in runs for node in spread.timeline(run)}

    assert len(runners) == ROOM


def slow_flow() -> dict[str, Any]:
    """One component that takes its time."""
    code = (
        "import time\n"
        "from lfx.custom import Component\n"
        "from lfx.io import Output\n"
        "from lfx.schema.message import Message\n\n\n"
        "class Slow(Component):\n"
        "    display_name = 'Slow'\n"
        "    outputs = [Output(name='out', display_name='Out', method='make', types=['Message'])]\n\n"
        "    def make(self) -> Message:\n"
        "        time.sleep(4)\n"
        "        return Message(text='done')\n"
    )
    template = {"_type": "Component", "code": {"type": "code", "name": "code", "value": code, "show": True}}
    outputs = [{"name": "out", "types": ["Message"], "method": "make", "selected": "Message", "value": "__UNDEFINED__"}]
    node = {"template": template, "outputs": outputs, "display_name": "Slow", "base_classes": ["Message"]}
    data = {"id": "Slow-1", "type": "Slow", "node": node}
    return {"name": "Slow", "data": {"nodes": [{"id": "Slow-1", "type": "genericNode", "data": data}], "edges": []}}


def test_it_comes_up_again_where_it_was_taken_down_and_where_its_driver_was_killed(service: Service) -> None:
    def kill() -> None:
        os.kill(service.supervisor, signal.SIGKILL)

    for end in (partial(service.flowray, "down"), kill):
        end()
        up = service.flowray("up", "--detach", "--json", within_s=300)
        assert up.returncode == 0, up.stderr
        with service.client() as client:
            assert client.get("/health").status_code == 200
