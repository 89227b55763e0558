"""Background runs: how many a second, how soon they start, and how soon they move again.

    python benchmarks/background.py              # 8 to 10 minutes on two quiet cores
    python benchmarks/background.py --short      # all of it once, in half of that: whether it runs, not how fast

One service per durability mode, one after the other: sustained runs of ChatInput -> ChatOutput per second, in the
background and synchronous (a queued run's journal is never relaxed: it is pipelined then), then the time from
acceptance to the start of the first node, at half of that rate. Then 40 light nodes and 10 long ones in a row, strict
(see `node_figures.py`), and a service with two engines and two Runners: from kill -9 of one to the next
event of each run that it had in hand. Results go to benchmarks/results/background.json, or to `--to`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.node_figures import flow, measure
from tests.chaos.flows import flow_of
from tests.kit.processes import descendants
from tests.kit.service import Service, running_service

MODES = ("strict", "pipelined", "relaxed")
CALLERS = 8
IN_HAND = 8
NODE_S = 3.0
WARM_WITHIN_S = 240.0
SETTLED_S = 5.0
LEASE_S = 5.0
WANTED = {
    "accept_to_node_started, p99 ms": 78,
    "40 light nodes unfused, s": 1.2,
    "40 light nodes fused, s": 0.3,
    "engine_killed, p99 s": LEASE_S + 1,
    "runner_killed, p99 s": 5,
}
Event = Mapping[str, Any]


class Bench:
    """One service and its callers."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.http = self.client()

    def client(self) -> httpx.Client:
        """A caller's own connection."""
        return httpx.Client(base_url=self.service.url, headers={"x-api-key": self.service.key}, timeout=120)

    def publish(self, document: Mapping[str, Any]) -> str:
        """The flow's id."""
        return str(self.http.post("/api/v1/flows/", json=document).raise_for_status().json()["id"])

    def submit(self, flow: str, http: httpx.Client | None = None) -> str:
        """The id of a run that was accepted."""
        body = {"flow_id": flow, "mode": "background", "input_value": "hi"}
        return str((http or self.http).post("/api/v2/workflows", json=body).raise_for_status().json()["job_id"])

    def journal(self, run: str) -> list[Event]:
        """All of a run's events, once it is over."""
        with self.http.stream("GET", f"/api/v1/runs/{run}/events") as response:
            lines = (line for line in response.iter_lines() if line.startswith("data: "))
            return [json.loads(line.removeprefix("data: ")) for line in lines]

    def killed(self, word: str) -> float:
        """Kill one of the processes whose command line has this word; when."""
        found = self.ready(word)
        at = time.time()
        os.kill(random.choice(found), signal.SIGKILL)
        return at

    def ready(self, word: str) -> list[int]:
        """The processes with this word that have warmed up; until then Ray calls them by what they do."""
        return [pid for pid, command in descendants(self.service.supervisor).items() if command.endswith(word)]

    def until_there_are(self, word: str, count: int) -> None:
        """Wait for the replacement, and for it to have warmed up."""
        deadline = time.monotonic() + WARM_WITHIN_S
        since = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < SETTLED_S:
            time.sleep(0.2)
            if len(self.ready(word)) < count:  # a new one looks ready for a moment before it begins to warm up
                since = time.monotonic()


def sustained(bench: Bench, flow: str, seconds: float) -> float:
    """Finished runs per second, from the first acceptance to the last end, with callers that never wait."""
    runs: list[str] = []
    until = time.monotonic() + seconds

    def call(_: int) -> None:
        with bench.client() as http:
            while time.monotonic() < until:
                runs.append(bench.submit(flow, http))

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(CALLERS)))
    ends = [bench.journal(run) for run in (runs[0], *runs[-CALLERS:])]
    took_s: float = max(end[-1]["at"] for end in ends) - ends[0][0]["at"]
    return len(runs) / took_s


def synchronous(bench: Bench, flow: str, seconds: float) -> float:
    """Answered synchronous runs per second, with as many callers."""
    until = time.monotonic() + seconds

    def call(_: int) -> int:
        count = 0
        with bench.client() as http:
            while time.monotonic() < until:
                http.post(f"/api/v1/run/{flow}", json={"input_value": "hi"}).raise_for_status()
                count += 1
        return count

    with ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(call, range(CALLERS))) / seconds


def starts(bench: Bench, flow: str, rate: float, seconds: float) -> dict[str, float]:
    """Milliseconds from acceptance until the engine has heard that the first node runs, at a steady rate."""
    pending: list[Future[str]] = []
    with bench.client() as http, ThreadPoolExecutor(CALLERS) as pool:
        for at in _ticks(rate, seconds):
            time.sleep(max(0.0, at - time.monotonic()))
            pending.append(pool.submit(bench.submit, flow, http))
    waits = []
    for one in pending:
        events = bench.journal(one.result())
        waits.append((_first(events, "node_started")["at"] - events[0]["at"]) * 1000)
    return {"rate": round(rate, 1), "runs": len(waits), **_spread(waits, "ms")}


def moves_again(bench: Bench, flow: str, word: str, kind: str, times: int) -> dict[str, float]:
    """Seconds from kill -9 to the next event of this kind, of the runs that the kill has hit: those with a lost step.

    One of two is killed, and it may have nothing in hand: that counts as no kill.
    """
    waits: list[float] = []
    kills = 0
    for _ in range(3 * times):
        moved = _moved_again(bench, flow, word, kind)
        waits += moved
        kills += bool(moved)
        if kills == times:
            break
    return {"kills": kills, "runs": len(waits), **_spread(waits, "s")}


def _moved_again(bench: Bench, flow: str, word: str, kind: str) -> list[float]:
    with ThreadPoolExecutor(IN_HAND) as pool:
        runs = list(pool.map(lambda _: bench.submit(flow), range(IN_HAND)))
    _until_begun(bench, runs)
    at = bench.killed(word)
    waits: list[float] = []
    for run in runs:
        events = bench.journal(run)
        assert events[-1]["status"] == "succeeded", events[-1]
        after = [event for event in events if event["at"] > at]
        is_hit = any(event["kind"] == "step_failed" and event["failure"] == "lost" for event in after)
        waits += [event["at"] - at for event in after if event["kind"] == kind and is_hit][:1]
    bench.until_there_are(word, 2)
    return waits


def _until_begun(bench: Bench, runs: Sequence[str]) -> None:
    """Until the first node of each runs."""
    for run in runs:
        with bench.http.stream("GET", f"/api/v1/runs/{run}/events") as response:
            next(line for line in response.iter_lines() if '"node_started"' in line)


def _first(events: Sequence[Event], kind: str) -> Event:
    return next(event for event in events if event["kind"] == kind)


def _ticks(rate: float, seconds: float) -> Iterator[float]:
    began = time.monotonic()
    return (began + number / rate for number in range(int(rate * seconds)))


def _spread(values: Sequence[float], unit: str) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    digits = 1 if unit == "ms" else 2
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {f"p50_{unit}": round(statistics.median(ordered), digits), f"p99_{unit}": round(p99, digits)}


def speed(bench: Bench, seconds: float) -> dict[str, object]:
    flow = bench.publish(flow_of("echo"))
    sustained(bench, flow, 3)  # warms up
    rate = sustained(bench, flow, seconds)
    return {
        "background_runs_per_s": round(rate, 1),
        "synchronous_runs_per_s": round(synchronous(bench, flow, seconds), 1),
        "accept_to_node_started": starts(bench, flow, rate / 2, seconds),
    }


def recovery(bench: Bench, kills: int) -> dict[str, object]:
    flow = bench.publish(flow_of("through", effect="replay", sleep_s=NODE_S))
    engine, runner = "ServeReplica:flowray:engine", "ServeReplica:flowray:runner-default"
    bench.until_there_are(engine, 2)
    bench.until_there_are(runner, 2)
    return {
        "lease_s": LEASE_S,
        "engine_killed": moves_again(bench, flow, engine, "run_started", kills),
        "runner_killed": moves_again(bench, flow, runner, "step_started", kills),
    }


def nodes(bench: Bench, runs: int) -> dict[str, object]:
    """40 light nodes and 10 long ones in a row, journaled before anything follows, each step in a sandbox."""
    drawn = [flow(count, n, alone=alone) for count, n in ((40, 10), (10, 33)) for alone in (False, True)]
    return {one["name"]: measure(bench.http, one, runs=runs if "fib(10)" in one["name"] else 3) for one in drawn}


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _in_service(work: Callable[[Bench], dict[str, object]], **settings: str) -> dict[str, object]:
    with running_service(settings=settings) as service:
        return work(Bench(service))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--kills", type=int, default=4, help="0 leaves them out")
    parser.add_argument("--runs", type=int, default=10, help="of 40 light nodes; 0 leaves them out")
    parser.add_argument("--modes", nargs="*", default=MODES)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results" / "background.json")
    options = parser.parse_args()
    if options.short:
        options.seconds, options.kills, options.runs = 3.0, min(options.kills, 1), min(options.runs, 2)
    told: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg(), "wanted": WANTED}
    told["durability"] = {}
    for mode in options.modes:
        _say(f"durability {mode}")
        told["durability"][mode] = _in_service(lambda bench: speed(bench, options.seconds), FLOWRAY_DURABILITY=mode)
    if options.runs:
        _say("40 light nodes, 10 long ones")
        strict = {"FLOWRAY_DURABILITY": "strict", "FLOWRAY_GATEWAY__SYNC_S": "120"}
        told["nodes"] = _in_service(lambda bench: nodes(bench, options.runs), **strict)
    if options.kills:
        _say("kill -9")
        two = {
            "FLOWRAY_POOLS": json.dumps({"default": {"spares": 8, "replicas": 2, "standby": 0}}),
            "FLOWRAY_ENGINES__REPLICAS": "2",
            "FLOWRAY_ENGINES__LEASE_S": str(LEASE_S),
        }
        told["recovery"] = _in_service(lambda bench: recovery(bench, options.kills), **two)
    told["load_after"] = os.getloadavg()
    options.to.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
