"""Requests per second of ChatInput -> ChatOutput: FlowRay, one sandbox per run, beside `lfx serve`, none.

Recipe (needs wrk: apt-get install wrk):   .venv/bin/python benchmarks/http_echo.py --rounds 3

Both serve the same flow on the same machine; every round asks each of them in turn, so that a busy machine slows all
alike.
Read the ratios, not the absolutes. Results go to benchmarks/results/http_echo.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from flowray.sandbox.image import find_image

HERE = Path(__file__).parent
BIN = HERE.parent / ".venv" / "bin"
KEY = "benchmark"
FLOW_ID = "6f1d9c1e-0000-4000-8000-000000000001"
SPEC = "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n"
EXPAND = """
import json, sys
from lfx.graph.flow_builder.builder import build_flow_from_spec
print(json.dumps(build_flow_from_spec(sys.argv[1])["flow"]))
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something to ask: `run` answers one flow run."""

    name: str
    run: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One wrk run: latency in milliseconds, requests per second, answers that were not 2xx."""

    p50_ms: float
    p99_ms: float
    rps: float
    errors: int


def main() -> None:
    """Measure and write the results."""
    options = _arguments()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flow = _expanded(work)
        targets = [stack.enter_context(_lfx_serve(flow, workers)) for workers in (1, 2)]
        targets.append(stack.enter_context(_lfx_serve(flow, 2, isolated=True)))
        targets.append(stack.enter_context(_flowray(flow, work)))
        rounds = [_one_round(targets, options.seconds, work) for _ in range(options.rounds)]
    _report(rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6, help="length of each measurement")
    return parser.parse_args()


def _expanded(work: Path) -> Path:
    command = [find_image().python, "-c", EXPAND, SPEC]
    text = subprocess.run(command, env=_with_lfx(), check=True, capture_output=True, text=True).stdout
    path = work / "echo.json"
    path.write_text(json.dumps(json.loads(text) | {"id": FLOW_ID}))
    return path


def _with_lfx() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(find_image().site_packages), "LANGFLOW_API_KEY": KEY}


@contextmanager
def _lfx_serve(flow: Path, workers: int, *, isolated: bool = False) -> Iterator[Target]:
    """Run `lfx serve`; `isolated` is its own way to keep requests apart: a new process for each."""
    port = _free_port()
    command = [find_image().python, "-m", "lfx", "serve", flow, "-p", str(port), "-w", str(workers)]
    command += ["--use-sync-workers", "--max-requests", "1"] if isolated else []
    with subprocess.Popen(command, env=_with_lfx(), stdout=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(f"{url}/health")
            name = "lfx serve, a process per request" if isolated else f"lfx serve, {workers} worker(s)"
            yield Target(name=name, run=f"{url}/flows/{FLOW_ID}/run", key=KEY)
        finally:
            server.terminate()


@contextmanager
def _flowray(flow: Path, work: Path) -> Iterator[Target]:
    home = {"FLOWRAY_HOME": str(work / "home"), "FLOWRAY_PORT": str(_free_port())}
    environment = os.environ | home
    started = subprocess.run(
        [BIN / "flowray", "up", "--detach", "--json"], env=environment, check=True, stdout=subprocess.PIPE
    )
    up = json.loads(started.stdout)
    try:
        headers = {"x-api-key": up["key"]}
        body = json.loads(flow.read_text())
        published = (
            httpx.post(f"{up['url']}/api/v1/flows/", headers=headers, json=body, timeout=60).raise_for_status().json()
        )
        yield Target(name="flowray", run=f"{up['url']}/api/v1/run/{published['id']}", key=up["key"])
    finally:
        subprocess.run([BIN / "flowray", "down"], env=environment, check=True)


def _one_round(targets: list[Target], seconds: int, work: Path) -> dict[str, dict[str, Measured]]:
    return {
        target.name: {f"c={connections}": _wrk(target, connections, seconds, work) for connections in (1, 16)}
        for target in targets
    }


def _wrk(target: Target, connections: int, seconds: int, work: Path) -> Measured:
    script = work / "post.lua"
    script.write_text(
        'wrk.method="POST"; wrk.body=\'{"input_value":"hello"}\'; wrk.headers["Content-Type"]="application/json"; '
        f'wrk.headers["x-api-key"]="{target.key}"'
    )
    for length in ("2s", f"{seconds}s"):  # the first one warms up
        command = ["wrk", "-t1", f"-c{connections}", f"-d{length}", "--latency", "-s", str(script), target.run]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return _parsed(text)


def _parsed(text: str) -> Measured:
    not_ok = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    rps = re.search(r"Requests/sec:\s+([\d.]+)", text)
    return Measured(
        p50_ms=_ms(text, "50%"),
        p99_ms=_ms(text, "99%"),
        rps=float(rps[1]) if rps else 0.0,
        errors=int(not_ok[1]) if not_ok else 0,
    )


def _ms(text: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else float("nan")


def _report(rounds: list[dict[str, dict[str, Measured]]]) -> None:
    result: dict[str, object] = {
        "machine": f"{os.cpu_count()} cores, {platform.release()}, Python {platform.python_version()}"
    }
    for name in rounds[0]:
        for load in rounds[0][name]:
            samples = [one[name][load] for one in rounds]
            row = {
                "p50_ms": round(statistics.median(s.p50_ms for s in samples), 1),
                "p99_ms": round(statistics.median(s.p99_ms for s in samples), 1),
                "rps": round(statistics.median(s.rps for s in samples), 1),
                "errors": sum(s.errors for s in samples),
            }
            result[f"{name}, {load}"] = row
            print(f"{name:24} {load:5}", *(f"{what} {value:8}" for what, value in row.items()))
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "http_echo.json").write_text(json.dumps(result, indent=2) + "\n")


def _wait(url: str, limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2, headers={"x-api-key": KEY}).status_code < 500:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit(f"{url} did not answer within {limit_s:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
