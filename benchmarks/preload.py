"""What a learned preload does to Basic Prompting: late imports, seconds of a run, memory of sandbox and zygote.

    PYTHONPATH=. python benchmarks/preload.py > benchmarks/results/preload.json

A Runner without a pool's `preload` runs Langflow's starter against the tests' model, and learns what its steps import.
A second Runner preloads that. Then both take turns. Times are of a step in its sandbox, from its spec to its end.
A sandbox's private memory (`Private_*` of its smaps) is read while it waits for the model's answer: its flow is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.spares import private_mib
from flowray.component.known import known_components
from flowray.engine.events import RunFinished, RunId, StepFinished
from flowray.engine.loop import Engine
from flowray.engine.ports import RunRequest
from flowray.flow.langflow import read
from flowray.flow.tweaks import tweak
from flowray.plan.planner import plan
from flowray.runner.learning import roots
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.image import default_packages, find_image
from flowray.sandbox.start import Inside
from flowray.sandbox.zygote import Zygote
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.objects import open_objects
from tests.kit.llm import Llm, running_llm
from tests.kit.starters import model_tweaks, starters

_RUNS, _ROUNDS = 10, 12
_FLOW = "Basic Prompting"


class Place:
    """A Runner whose zygote can be looked at, and what its steps said they imported."""

    def __init__(self, preload: Sequence[str], llm: Llm) -> None:
        self.imported: list[list[str]] = []
        self.zygote: Zygote | None = None
        self._preload = preload
        objects = open_objects("memory:")
        rules = Rules(size=PoolSize(spares=2), private=(llm.host,), learn=self._learn)
        self.runner = Runner(self._start, objects=objects, rules=rules)
        self._engine = Engine(MemoryJournal(keep_runs=10), self.runner, name="benchmark")

    async def run(self, request: RunRequest) -> float:
        """Milliseconds of the one step."""
        took_ms = 0.0
        async with aclosing(self._engine.run(request)) as told:
            async for recorded in told:
                event = recorded.event
                if isinstance(event, StepFinished):
                    took_ms += 1000 * event.took_s
                if isinstance(event, RunFinished) and event.status != "succeeded":
                    raise RuntimeError(event.error)
        return took_ms

    @property
    def memory_mib(self) -> float:
        """The memory of the zygote's own, as the kernel counts it."""
        return _resident_mib(self._forker)

    @property
    def private_mib(self) -> tuple[float, float]:
        """What the smallest and the largest of its sandboxes have for themselves: a parked one, and one at work."""
        forker = self._forker
        children = Path(f"/proc/{forker}/task/{forker}/children").read_text().split()
        found = []
        for child in children:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found.append(private_mib(int(child)))
        return min(found), max(found)

    @property
    def _forker(self) -> int:
        return self.zygote.pid if self.zygote else 0

    def _learn(self, claimed: Any) -> None:
        self.imported.append(claimed or [])

    async def _start(self) -> Zygote:
        self.zygote = await Zygote.start(find_image(), Inside(preload=self._preload, always=default_packages()))
        return self.zygote


class Asked(list[Any]):
    """The model's requests: while one is being answered, its sandbox is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.place: Place | None = None
        self.private: list[tuple[float, float]] = []

    def append(self, asked: Any) -> None:
        """Take a request."""
        super().append(asked)
        if self.place is not None:
            self.private.append(self.place.private_mib)


def _resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def request_of(llm: Llm) -> RunRequest:
    document = starters()[_FLOW]
    flow = tweak(read(document), model_tweaks(document), stream=False)
    return RunRequest(
        run=RunId("0"),
        tenant="benchmark",
        flow=flow,
        flow_id="00000000-0000-0000-0000-000000000000",
        plan=plan(flow, specs=known_components()),
        session="benchmark",
        input_value="Say hello",
        variables=llm.variables,
        egress=(llm.host,),
    )


async def several(place: Place, request: RunRequest, count: int, name: str) -> list[float]:
    return [await place.run(replace(request, run=RunId(f"{name}-{number}"))) for number in range(count)]


async def private_memory(llm: Llm, plain: Place, ready: Place, request: RunRequest) -> dict[str, float]:
    """Private memory, apart from the timing: reading it takes a while."""
    facts = {}
    for name, place in (("without", plain), ("with", ready)):
        llm.requests = asked = Asked()
        asked.place = place
        await several(place, request, _RUNS, f"memory-{name}")
        parked, loaded = zip(*asked.private, strict=True)
        facts[f"parked_private_mib_{name}"] = round(statistics.median(parked), 2)
        facts[f"loaded_private_mib_{name}"] = round(statistics.median(loaded), 2)
    return facts


async def main() -> None:
    with running_llm() as llm:
        request = request_of(llm)
        plain = Place((), llm)
        await plain.runner.start()
        await several(plain, request, _RUNS, "learn")
        counts = Counter(module for step in plain.imported for module in step)
        learned = roots(module for module, count in counts.items() if count >= 2)
        ready = Place(learned, llm)
        await ready.runner.start()
        await several(ready, request, 2, "warm")
        ready.imported.clear()
        rounds = []
        for number in range(_ROUNDS):
            took = [await several(place, request, 3, f"{number}-{place is ready}") for place in (plain, ready)]
            rounds.append([statistics.median(one) for one in took])
        facts = {
            "flow": _FLOW,
            "late_imports_without": len(counts),
            "late_imports_with": max(map(len, ready.imported)),
            "setting_entries": len(learned),
            "step_ms_without": round(statistics.median(one for one, _ in rounds), 1),
            "step_ms_with": round(statistics.median(other for _, other in rounds), 1),
            "ratio": round(statistics.median(other / one for one, other in rounds), 3),
            "modules_without": plain.zygote.modules if plain.zygote else 0,
            "modules_with": ready.zygote.modules if ready.zygote else 0,
            "zygote_mib_without": round(plain.memory_mib),
            "zygote_mib_with": round(ready.memory_mib),
            **await private_memory(llm, plain, ready, request),
            "examples": learned[:10],
        }
        await plain.runner.close()
        await ready.runner.close()
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
