"""The fair scheduler in arithmetic: a million decisions, all limits asserted; shares and weights; time per decision.

    python benchmarks/fair_share.py                    # all of it, minutes
    python benchmarks/fair_share.py --decisions 50000  # a taste

The worlds are those of the tests (`tests/kit/simulation/turns.py`): random tenants, weights, arrivals, failures and
changes of quota, out of a seed. A limit that is passed, or a ticket that is never granted, ends the recipe with an
error. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # the worlds live with the tests

from flowray.quotas.amounts import Amounts
from flowray.quotas.fair import FairShare
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.ticket import Ticket
from tests.kit.simulation.turns import World, shares_under_saturation

_WORLDS = 20
_WEIGHTS = (1, 1, 2, 3, 5)


def simulated(decisions: int) -> dict[str, Any]:
    """Play worlds until there are so many decisions; each asserts its invariants."""
    told: dict[str, Any] = {"decisions": 0, "granted": 0, "worlds": _WORLDS}
    longest, took = 0.0, []
    for seed in range(_WORLDS):
        world = World(seed, tenants=20 + 10 * (seed % 5))
        story = world.play(decisions // _WORLDS)
        world.drain()
        told["decisions"] += story.decisions
        told["granted"] += story.granted
        longest = max(longest, story.longest_wait_s)
        took += story.took_s
    return {**told, "longest_wait_simulated_s": round(longest, 1), **_spread(took)}


def saturated(decisions: int) -> list[dict[str, Any]]:
    """Shares against weights, with steps of different sizes and lengths."""
    found = []
    for seed in range(5):
        got, promised = shares_under_saturation(_WEIGHTS, seed=seed, decisions=decisions)
        off = [round((part - weight) / weight, 4) for part, weight in zip(got, promised, strict=True)]
        found.append({"seed": seed, "weights": _WEIGHTS, "off_by": off, "worst": max(map(abs, off))})
    return found


def crowd(tenants: int, queued: int, decisions: int) -> dict[str, Any]:
    """Time per decision with many tenants that all wait; a step ends and another is asked for in between."""
    dice, share = random.Random(7), FairShare()
    share.set_pool("p", Amounts(64, 64_000, 262_144, 0))
    for one in range(tenants):
        share.set_terms(f"t{one:04}", Terms(quota=Quota(steps=4), weight=dice.choice([1, 2, 5])))
        for number in range(queued):
            need = Amounts(1, dice.choice([250, 1000]), dice.choice([256, 4096]), 0)
            share.ask(Ticket(id=f"{one}/{number}", tenant=f"t{one:04}", pool="p", need=need), 0.0)
    running: list[str] = []
    took, now = [], 0.0
    while len(took) < decisions:
        began = time.perf_counter()
        grant = share.decide("p", now)
        took.append(time.perf_counter() - began)
        if grant is not None:
            running.append(grant.ticket)
            continue
        now += 0.1
        over = running.pop(dice.randrange(len(running)))
        share.end(over, now)
        one = over.split("/")[0]
        share.ask(
            Ticket(id=f"{one}/{len(took)}", tenant=f"t{int(one):04}", pool="p", need=Amounts(1, 250, 256, 0)), now
        )
    return {"tenants": tenants, "queued_each": queued, "decisions": len(took), **_spread(took)}


def _spread(took: Sequence[float]) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "decision_p50_us": round(statistics.median(ordered) * 1e6, 1),
        "decision_p99_us": round(ordered[int(len(ordered) * 0.99)] * 1e6, 1),
        "decision_max_us": round(ordered[-1] * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    asked = parser.parse_args()
    told = {
        "simulation": simulated(asked.decisions),
        "saturation": saturated(asked.decisions // 10),
        "crowd": crowd(1_000, 10, asked.decisions // 20),
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
