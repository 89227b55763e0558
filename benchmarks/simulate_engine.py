"""A million steps of the pure engine in a world that goes wrong: each run has to end as if nothing had happened.

    python benchmarks/simulate_engine.py [--steps 1000000] [--from-seed 0]

Random plans (fused and split steps, routers, loops, live objects, waits, questions to people) run twice: in a calm
world, and in one where engines and runners die, providers fail, events come twice and people answer some day. A run
whose values, branches or verdict differ stops the simulation with its seed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.kit.simulation.claims import lived_through
from tests.kit.simulation.world import ROUGH


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=1_000_000)
    arguments.add_argument("--from-seed", type=int, default=0)
    wanted = arguments.parse_args()
    mishaps: Counter[str] = Counter()
    seed, steps, begun = wanted.from_seed, 0, time.perf_counter()
    while steps < wanted.steps:
        world = lived_through(seed, ROUGH)
        mishaps += world.mishaps
        steps += world.steps
        seed += 1
    took_s = time.perf_counter() - begun
    told = {
        "steps": steps,
        "runs": seed - wanted.from_seed,
        "seeds": [wanted.from_seed, seed],
        "mishaps": dict(mishaps),
        "odds": vars(ROUGH),
        "took_s": round(took_s, 1),
        "python": platform.python_version(),
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
