"""How long FlowRay takes to be there, and what it holds while nothing runs.

Recipe:   .venv/bin/python -m benchmarks.start --rounds 3

Per round, one after another on this machine: `flowray demo`, `flowray run` of one file without a service, and
`flowray up` with the memory of all its processes, once as it is by default and once with one engine and one Runner.
Results go to benchmarks/results/start.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import flowray
from benchmarks.soak import below
from flowray_serve.home import Home

HERE = Path(__file__).parent
FLOWRAY = HERE.parent / ".venv" / "bin" / "flowray"
SPEC = "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n"
PORT = "8197"
LONE = {"FLOWRAY_POOLS": '{"default": {"standby": 0}}', "FLOWRAY_ENGINES__STANDBY": "0"}
_SETTLES_S = 50


def main() -> None:
    """Measure and write the results."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory() as work:
        flow = Path(work) / "echo.json"
        flow.write_text(json.dumps(flowray.expand({"echo": SPEC})["echo"]))
        samples = [_one_round(flow, Path(work) / f"home{number}") for number in range(rounds)]
    facts = {name: round(statistics.median(sample[name] for sample in samples), 1) for name in samples[0]}
    machine = f"{os.cpu_count()} cores, {platform.release()}, Python {platform.python_version()}"
    text = json.dumps({"machine": machine, "rounds": rounds, **facts}, indent=2)
    print(text)
    (HERE / "results" / "start.json").write_text(text + "\n")


def _one_round(flow: Path, home: Path) -> dict[str, float]:
    environment = os.environ | {"FLOWRAY_HOME": str(home), "FLOWRAY_PORT": PORT}
    demo_s = _timed(environment, "demo")
    run_s = _timed(environment, "run", str(flow), "input_value=hello")
    up_s, idle_mib = _at_rest(environment, home)
    _, lone_mib = _at_rest(environment | LONE, home)
    return {
        "demo_s": demo_s,
        "run_file_s": run_s,
        "up_s": up_s,
        "idle_pss_mib": idle_mib,
        "idle_pss_mib_without_standbys": lone_mib,
    }


def _at_rest(environment: dict[str, str], home: Path) -> tuple[float, float]:
    """How long a service takes to answer, and its memory when all is warm: what processes share counts once."""
    up_s = _timed(environment, "up", "--detach")
    try:
        time.sleep(_SETTLES_S)
        running = Home(home).running()
        if running is None:
            raise SystemExit(f"the service at {home} is gone")
        return up_s, sum(_pss_mib(pid) for pid in below(running.guard))
    finally:
        _timed(environment, "down")


def _timed(environment: dict[str, str], *words: str) -> float:
    began = time.perf_counter()
    subprocess.run([FLOWRAY, *words], env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
