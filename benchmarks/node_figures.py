"""Windmill's public recipe: 40 light nodes one after the other, and 10 long ones, through the whole service.

    python benchmarks/node_figures.py                  # starts a service of its own, and stops it
    python benchmarks/node_figures.py --runs 20

Each run is one synchronous call of `/api/v2/workflows`, from the request to the answer, with every event journaled in
Redis before anything follows from it (`strict`) and every step in a sandbox. `fused` lets the planner put the nodes
into one step; `unfused` cuts between all of them, so each has a sandbox of its own. fib(33) is pure Python.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from flowray_serve.cluster.ports import free_port

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
    return {
        "median_s": round(statistics.median(took), 4),
        "best_s": round(min(took), 4),
        "worst_s": round(max(took), 4),
        "runs": len(took),
        "steps": len(told["steps"]),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=10)
    arguments.add_argument("--durability", default="strict", choices=["strict", "pipelined", "relaxed"])
    wanted = arguments.parse_args()
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
                told = {
                    "fib(10) x 40, fused": measure(client, flow(40, 10, alone=False), runs=wanted.runs),
                    "fib(10) x 40, unfused": measure(client, flow(40, 10, alone=True), runs=wanted.runs),
                    "fib(33) x 10, fused": measure(client, flow(10, 33, alone=False), runs=max(wanted.runs // 3, 1)),
                    "fib(33) x 10, unfused": measure(client, flow(10, 33, alone=True), runs=max(wanted.runs // 3, 1)),
                }
        finally:
            subprocess.run([flowray, "down"], env=environment, capture_output=True, check=False)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "durability": wanted.durability}
    print(json.dumps({**told, "published by others, fib(10) x 40, s": _PUBLISHED_S, "machine": machine}, indent=2))


if __name__ == "__main__":
    main()
