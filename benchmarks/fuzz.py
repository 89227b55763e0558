"""A million and more hostile inputs for what reads strangers' bytes on the trusted side.

    python -m benchmarks.fuzz                     # 500,000 for each reader
    python -m benchmarks.fuzz --inputs 1000 --seed 7

Prints one JSON object: for each reader how many inputs, how many a second, and what came of them. An input that breaks
a promise stops the run and is printed, in hex, with what it broke.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter

from tests.fuzz.targets import TARGETS, Reader, mutated


def fuzz(reader: Reader, inputs: int, seed: int) -> dict[str, object]:
    """Try so many inputs; what came of them."""
    chance = random.Random(f"{reader.name} {seed}")
    outcomes: Counter[str] = Counter()
    began = time.perf_counter()
    for _ in range(inputs):
        data = chance.randbytes(chance.randrange(200)) if chance.random() < 0.05 else mutated(reader.seeds, chance)
        try:
            outcomes[reader.check(data, chance)] += 1
        except BaseException as broken:
            raise SystemExit(f"{reader.name}: {broken!r}\n{data.hex()}") from broken
    rate = inputs / (time.perf_counter() - began)
    return {"inputs": inputs, "inputs_per_s": round(rate), "outcomes": dict(outcomes.most_common())}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--inputs", type=int, default=500_000)
    arguments.add_argument("--seed", type=int, default=1)
    wanted = arguments.parse_args()
    facts = {reader.name: fuzz(reader, wanted.inputs, wanted.seed) for reader in TARGETS}
    print(json.dumps({"seed": wanted.seed, "inputs": wanted.inputs * len(TARGETS), **facts}, indent=2))


if __name__ == "__main__":
    main()
