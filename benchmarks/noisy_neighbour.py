"""A noisy neighbour: tenant A keeps 500 runs going, tenant B runs a small flow now and then; how much slower B gets.

    python benchmarks/noisy_neighbour.py                                         # 15 minutes; starts FlowRay twice
    python benchmarks/noisy_neighbour.py --seconds 5 --rounds 1 --fair on --dry  # a taste, written nowhere

For each kind of flood (cpu-hungry, memory-hungry, sleepy) and for fair turns on and off: B alone and B beside A in
turns, in the same service; read the ratios. In turns, since a machine is not equally fast all the time; and over as
many runs of B as it takes for a p99 to be more than its two slowest. All of A's 500 runs are let in: nothing but turns
and weights stands between A and B. A's clients are a process that yields to everything, since they would be on other
machines. Writes benchmarks/results/noisy_neighbour.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from flowray_serve.cluster.ports import free_port

RESULT = Path(__file__).parent / "results" / "noisy_neighbour.json"
_AT_ONCE = 500
# With turns off B may wait for all of A; who waits that long has been shown enough.
_LONGEST_S = 60.0
# A's clients begin one after the other, not in one moment.
_APART_S = 0.01
# What a flood leaves behind is tidied away before B is alone again.
_REST_S = 5.0
_CODE = """
import asyncio
import time

from lfx.custom import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.message import Message


class Work(Component):
    display_name = "Work"
    name = "Work"
    inputs = [MessageTextInput(name="input_value", display_name="Input", value="")]
    outputs = [Output(name="output", display_name="Output", method="build_output")]

    async def build_output(self) -> Message:
        {body}
        return Message(text="done")
"""
_BODIES = {
    "small": "pass",
    "cpu": "end = time.process_time() + 0.5\n        while time.process_time() < end: pass",
    "memory": "held = bytearray(96 << 20)\n        await asyncio.sleep(0.5)",
    "sleepy": "await asyncio.sleep(1.0)",
}


def flow(name: str) -> dict[str, Any]:
    """A flow of one node that does what its name says."""
    template = {
        "_type": "Component",
        "code": {"type": "code", "name": "code", "value": _CODE.format(body=_BODIES[name]), "show": True},
        "input_value": {"type": "str", "name": "input_value", "value": "", "_input_type": "MessageTextInput"},
    }
    output = {"name": "output", "display_name": "Output", "method": "build_output", "types": ["Message"]}
    outputs = [{**output, "selected": "Message", "value": "__UNDEFINED__", "cache": True}]
    node = {"display_name": "Work", "template": template, "base_classes": ["Message"], "outputs": outputs}
    data = {"id": "Work-1", "type": "Work", "node": node}
    drawn = {"id": "Work-1", "type": "genericNode", "position": {"x": 0, "y": 0}, "data": data}
    return {"name": name, "endpoint_name": name, "data": {"nodes": [drawn], "edges": []}}


@contextmanager
def service(*, fair: bool, headroom: float | None = None) -> Iterator[tuple[str, str]]:
    """A FlowRay of its own: its URL, and an operator's key."""
    pool = {"max_running": 32, "spares": 16, "standby": 0} | ({} if headroom is None else {"headroom": headroom})
    flowray = str(Path(sys.executable).with_name("flowray"))
    with tempfile.TemporaryDirectory(prefix="noisy-") as home:
        said = {
            "FLOWRAY_HOME": home,
            "FLOWRAY_PORT": str(free_port()),
            "FLOWRAY_SHARING__FAIR": str(fair).lower(),
            "FLOWRAY_GATEWAY__SYNC_S": "600",
            "FLOWRAY_GATEWAY__MAX_ONGOING": "2000",
            "FLOWRAY_GATEWAY__PER_TENANT": "1000",
            "FLOWRAY_POOLS": json.dumps({"default": pool}),
        }
        environment = {**{name: value for name, value in os.environ.items() if not name.startswith("FLOWRAY_")}, **said}
        started = subprocess.run(
            [flowray, "up", "--detach", "--json"], env=environment, check=False, stdout=subprocess.PIPE, text=True
        )
        told = json.loads(started.stdout)
        try:
            yield told["url"], told["key"]
        finally:
            subprocess.run([flowray, "down"], env=environment, check=False, capture_output=True)


def tenant(url: str, operator: str, name: str) -> str:
    """Make a tenant with all flows; its key."""
    with httpx.Client(base_url=url, headers={"x-api-key": operator}, timeout=60) as http:
        http.post("/api/v1/admin/tenants", json={"id": name, "settings": {}}).raise_for_status()
        made = http.post(f"/api/v1/admin/tenants/{name}/keys", json={"name": "bench", "roles": ["editor"]})
        key: str = made.raise_for_status().json()["api_key"]
        for one in _BODIES:
            http.post("/api/v1/flows/", json=flow(one), headers={"x-api-key": key}).raise_for_status()
    return key


def quiet(url: str, key: str, *, seconds: float) -> Sequence[float]:
    """B: a small run, a short rest, again; the seconds of each. One that is not over after a minute counts as that."""
    took: list[float] = []
    with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=_LONGEST_S) as http:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            with suppress(httpx.TimeoutException):
                http.post("/api/v1/run/small", json={}).raise_for_status()
            took.append(time.perf_counter() - began)
            time.sleep(0.05)
    return took


def figures(took: Sequence[float]) -> Mapping[str, float]:
    """What runs of B took, in short."""
    in_order = sorted(took)
    ms = {"p50_ms": statistics.median(in_order), "p99_ms": in_order[min(len(in_order) - 1, int(len(in_order) * 0.99))]}
    return {"runs": len(in_order), **{name: round(value * 1000, 1) for name, value in ms.items()}}


def yield_to_all() -> None:
    os.nice(10)
    with suppress(OSError):  # where the kernel weighs sessions, this one has to be light as well
        Path("/proc/self/autogroup").write_text("10")


async def flood(url: str, key: str, kind: str) -> None:
    """A: as many runs at once as may be, until killed. No client library: with 500 connections it is what is slow."""
    host, port = url.removeprefix("http://").split(":")
    request = (
        f"POST /api/v1/run/{kind} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\n"
        "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    ).encode()

    async def again(number: int) -> None:
        await asyncio.sleep(number * _APART_S)
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await _asks(*await asyncio.open_connection(host, int(port)), request)

    await asyncio.gather(*(again(number) for number in range(_AT_ONCE)))


async def _asks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    """Ask, read the answer, and again, on one connection."""
    while True:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))


def going(http: httpx.Client) -> Mapping[str, Any]:
    """What a tenant has going; asked again while a gateway that 500 clients have just left is taken for ill."""
    until = time.monotonic() + _LONGEST_S
    while (answer := http.get("/api/v1/quota")).status_code == httpx.codes.SERVICE_UNAVAILABLE:
        if time.monotonic() > until:
            break
        time.sleep(0.5)
    told: Mapping[str, Any] = answer.raise_for_status().json()["now"]
    return told


def ran(http: httpx.Client) -> int:
    """How many runs of a tenant are over."""
    rows = http.get("/api/v1/usage", params={"by": "tenant"}).raise_for_status().json()["usage"]
    return sum(row["runs"] for row in rows)


def compared(url: str, a: str, b: str, kind: str, *, seconds: float, rounds: int) -> Mapping[str, Any]:
    """B alone and beside A, in turns."""
    alone: list[float] = []
    crowded: list[float] = []
    of_a: list[Mapping[str, Any]] = []
    for _ in range(rounds):
        time.sleep(_REST_S)
        alone += quiet(url, b, seconds=seconds)
        took, flooding = beside(url, a, b, kind, seconds=seconds)
        crowded += took
        of_a.append(flooding)
    found = {"alone": figures(alone), "beside": figures(crowded)}
    times = {name: round(found["beside"][name] / found["alone"][name], 2) for name in ("p50_ms", "p99_ms")}
    return {**found, "of_a": of_a, "times": times}


def beside(url: str, a: str, b: str, kind: str, *, seconds: float) -> tuple[Sequence[float], Mapping[str, Any]]:
    """B beside A: the seconds of B's runs, and what A has going in the end with how many it ran meanwhile."""
    flooding = [sys.executable, __file__, "--flood", url, a, kind]
    with httpx.Client(base_url=url, headers={"x-api-key": a}, timeout=_LONGEST_S) as http:
        with subprocess.Popen(flooding, start_new_session=True) as neighbour:
            try:
                until = time.monotonic() + _LONGEST_S
                while going(http)["runs"] < _AT_ONCE and time.monotonic() < until:
                    time.sleep(0.5)
                time.sleep(2.0)
                before, since = ran(http), time.monotonic()
                took = quiet(url, b, seconds=seconds)
                per_s = (ran(http) - before) / (time.monotonic() - since)
                now = going(http)
            finally:
                neighbour.kill()
        while going(http)["runs"]:
            time.sleep(0.5)
    of_a = {name: now[name] for name in ("runs", "steps", "steps_waiting")}
    return took, {**of_a, "ended_per_s": round(per_s, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=4, help="turns of B alone and beside A")
    parser.add_argument("--fair", choices=["on", "off", "both"], default="both")
    parser.add_argument("--headroom", type=float, help="of the pool; left out: as shipped")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--kinds", default="sleepy,memory,cpu")
    parser.add_argument("--flood", nargs=3, metavar=("URL", "KEY", "KIND"))
    asked = parser.parse_args()
    if asked.flood:
        yield_to_all()
        asyncio.run(flood(*asked.flood))
        return
    told: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "kernel": os.uname().release, "load_before": os.getloadavg()[0]}
    }
    for turns in ("on", "off") if asked.fair == "both" else (asked.fair,):
        with service(fair=turns == "on", headroom=asked.headroom) as (url, operator):
            a, b = (tenant(url, operator, name) for name in ("a", "b"))
            quiet(url, b, seconds=2)
            found = told[f"fair_turns_{turns}"] = {}
            for kind in asked.kinds.split(","):
                # With turns off B mostly waits; one round of that says all.
                rounds = asked.rounds if turns == "on" else 1
                found[kind] = compared(url, a, b, kind, seconds=asked.seconds, rounds=rounds)
                print(turns, kind, json.dumps(found[kind]), file=sys.stderr, flush=True)
    said = json.dumps(told, indent=1) + "\n"
    print(said)
    if not asked.dry:
        RESULT.write_text(said)


if __name__ == "__main__":
    main()
