"""Windmill's public recipe: 40 light nodes one after the other, and 10 long ones, through the whole service.

    python benchmarks/node_figures.py                  # starts a service of its own, and stops it
    python benchmarks/node_figures.py --runs 20
    python benchmarks/node_figures.py --here           # engine, journal and sandboxes without Ray and HTTP

Each run is one synchronous call of `/api/v2/workflows`, from the request to the answer, with every event journaled in
Redis before anything follows from it (`strict`) and every step in a sandbox. `fused` lets the planner put the nodes
into one step; `unfused` cuts between all of them, so each has a sandbox of its own. fib(33) is pure Python.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from flowray.component.known import known_components
from flowray.engine.events import RunFinished, RunId
from flowray.engine.loop import Engine
from flowray.engine.ports import RunRequest
from flowray.flow.langflow import read
from flowray.plan.planner import plan
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.image import find_image
from flowray.stores.archive import Archive
from flowray.stores.objects import open_objects
from flowray.stores.redis import connect
from flowray.stores.redis_journal import RedisJournal
from flowray_serve.cluster.ports import free_port
from tests.contract.servers import running_valkey

_CODE = """
from lfx.custom import Component
from lfx.io import HandleInput, IntInput, Output
from lfx.schema import Data


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Fib(Component):
    display_name = "Fib"
    inputs = [HandleInput(name="before", input_types=["Data"]), IntInput(name="n", value=10)]
    outputs = [Output(name="out", display_name="Out", method="build_out", types=["Data"])]

    def build_out(self) -> Data:
        return Data(data={"fib": fib(self.n)})
"""
_PUBLISHED_S = {"Hatchet": 1.222, "Windmill dedicated worker": 2.092, "Temporal": 2.967}


def flow(nodes: int, n: int, *, alone: bool) -> dict[str, Any]:
    """A chain of nodes."""
    names = [f"Fib-{number}" for number in range(nodes)]
    edges = [_edge(source, target) for source, target in itertools.pairwise(names)]
    drawn = [_node(name, n, alone=alone) for name in names]
    return {"name": f"fib({n}) x {nodes}, {'unfused' if alone else 'fused'}", "data": {"nodes": drawn, "edges": edges}}


def _node(name: str, n: int, *, alone: bool) -> dict[str, Any]:
    handle = {"name": "before", "type": "other", "_input_type": "HandleInput", "input_types": ["Data"], "value": ""}
    template = {
        "_type": "Component",
        "code": {"name": "code", "type": "code", "value": _CODE, "show": True},
        "before": {**handle, "show": True, "required": False, "list": False},
        "n": {"name": "n", "type": "int", "_input_type": "IntInput", "value": n, "show": True},
    }
    out = {"name": "out", "display_name": "Out", "method": "build_out", "types": ["Data"], "selected": "Data"}
    body = {
        "display_name": "Fib",
        "base_classes": ["Data"],
        "template": template,
        "outputs": [{**out, "value": "__UNDEFINED__", "cache": True}],
        "field_order": ["before", "n"],
        "metadata": {"flowray": {"alone": True}} if alone else {},
    }
    data = {"id": name, "type": "Fib", "node": body}
    return {"id": name, "type": "genericNode", "position": {"x": 0, "y": 0}, "data": data}


def _edge(source: str, target: str) -> dict[str, Any]:
    ends = {
        "sourceHandle": {"dataType": "Fib", "id": source, "name": "out", "output_types": ["Data"]},
        "targetHandle": {"fieldName": "before", "id": target, "inputTypes": ["Data"], "type": "other"},
    }
    return {"id": f"{source}-{target}", "source": source, "target": target, "data": ends}


def measure(client: httpx.Client, drawn: dict[str, Any], *, runs: int) -> dict[str, Any]:
    """Publish, warm up once, and time calls from the request to the answer."""
    published = client.post("/api/v1/flows/", json=drawn)
    published.raise_for_status()
    flow_id = published.json()["id"]
    took: list[float] = []
    for number in range(runs + 1):
        begun = time.perf_counter()
        answer = client.post("/api/v2/workflows", json={"flow_id": flow_id})
        took.append(time.perf_counter() - begun)
        answer.raise_for_status()
        assert answer.json()["status"] == "completed", answer.text[:500]
        if number == 0:
            took.clear()
    told = client.get(f"/api/v1/runs/{answer.headers['x-flowray-run']}").json()
    return _figures(took, steps=len(told["steps"]))


async def measure_here(runs: int, durability: Any) -> dict[str, Any]:
    """Time runs of an engine in this process, with its journal in a Valkey and its sandboxes in a Runner beside it."""
    with tempfile.TemporaryDirectory() as folder, running_valkey(Path(folder)) as url:
        objects = open_objects(f"{folder}/objects")
        runner = Runner.on(find_image(), objects=objects, rules=Rules(size=PoolSize(spares=8)))
        await runner.start()
        engine = Engine(RedisJournal(connect(url), Archive(objects)), runner, name="here", durability=durability)
        try:
            return {drawn["name"]: await _timed(engine, drawn, _runs(drawn, runs)) for drawn in _flows()}
        finally:
            await runner.close()


async def _timed(engine: Engine, drawn: dict[str, Any], runs: int) -> dict[str, Any]:
    flow_read = read(drawn)
    planned = plan(flow_read, specs=known_components())
    took: list[float] = []
    for number in range(runs + 1):
        known: dict[str, Any] = {"tenant": "t", "flow_id": "f", "session": "s", "flow": flow_read, "plan": planned}
        request = RunRequest(run=RunId(str(uuid.uuid4())), **known)
        begun = time.perf_counter()
        told = await engine.execute(request)
        took.append(time.perf_counter() - begun)
        assert isinstance(told[-1].event, RunFinished)
        assert told[-1].event.status == "succeeded", told[-1].event.error
        if number == 0:
            took.clear()
    return _figures(took, steps=len(planned.steps))


def _figures(took: list[float], *, steps: int) -> dict[str, Any]:
    return {
        "median_s": round(statistics.median(took), 4),
        "best_s": round(min(took), 4),
        "worst_s": round(max(took), 4),
        "runs": len(took),
        "steps": steps,
    }


def _runs(drawn: dict[str, Any], runs: int) -> int:
    return runs if "fib(10)" in drawn["name"] else max(runs // 3, 1)


def _flows() -> list[dict[str, Any]]:
    return [flow(nodes, n, alone=alone) for nodes, n in ((40, 10), (10, 33)) for alone in (False, True)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=10)
    arguments.add_argument("--here", action="store_true")
    arguments.add_argument("--durability", default="strict", choices=["strict", "pipelined", "relaxed"])
    wanted = arguments.parse_args()
    machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "durability": wanted.durability}
    published = {"published by others, fib(10) x 40, s": _PUBLISHED_S, "machine": machine}
    if wanted.here:
        print(json.dumps({**asyncio.run(measure_here(wanted.runs, wanted.durability)), **published}, indent=2))
        return
    flowray = str(Path(sys.executable).parent / "flowray")
    with tempfile.TemporaryDirectory() as home:
        settings = {
            "FLOWRAY_HOME": home,
            "FLOWRAY_PORT": str(free_port()),
            "FLOWRAY_DURABILITY": wanted.durability,
            "FLOWRAY_GATEWAY__SYNC_S": "120",
        }
        environment = {**os.environ, **settings}
        up = subprocess.run([flowray, "up", "--detach", "--json"], env=environment, capture_output=True, check=True)
        try:
            service = json.loads(up.stdout)
            headers = {"x-api-key": service["key"]}
            with httpx.Client(base_url=service["url"], headers=headers, timeout=300) as client:
                told = {drawn["name"]: measure(client, drawn, runs=_runs(drawn, wanted.runs)) for drawn in _flows()}
        finally:
            subprocess.run([flowray, "down"], env=environment, capture_output=True, check=False)
    print(json.dumps({**told, **published}, indent=2))


if __name__ == "__main__":
    main()
