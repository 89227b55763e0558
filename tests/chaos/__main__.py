"""`python -m tests.chaos --minutes 30 --seed 1`: a long round, with its report as JSON."""

from __future__ import annotations

import argparse
import gzip
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.chaos.round import play

parser = argparse.ArgumentParser()
parser.add_argument("--minutes", type=float, default=30)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--callers", type=int, default=16)
parser.add_argument("--pause", type=float, default=0.5, help="mean seconds between a caller's runs")
parser.add_argument("--report", type=Path, default=Path("benchmarks/results/chaos.json"))
parser.add_argument("--history", type=Path, help="keep all that was seen, gzipped, to judge it again")
options = parser.parse_args()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped
report, history = play(
    seed=options.seed,
    for_s=options.minutes * 60,
    callers=options.callers,
    pause_s=options.pause,
    tell=lambda what: print(time.strftime("%H:%M:%S"), what, file=sys.stderr, flush=True),  # noqa: T201
)
if options.history:
    options.history.write_bytes(gzip.compress(json.dumps(asdict(history)).encode()))
options.report.write_text(json.dumps(asdict(report), indent=2) + "\n")
print(json.dumps(asdict(report) | {"journals": sorted(report.journals)}, indent=2))  # noqa: T201
sys.exit(1 if report.faults else 0)
