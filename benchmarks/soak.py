"""Ten thousand runs in a row on one Runner: what grows, and what stays behind.

    python benchmarks/soak.py                # 10,000 runs of a small flow
    python benchmarks/soak.py --runs 2000

Prints one JSON object: resident memory of the Runner's process and of the one that children are forked from after a
tenth of the runs and after all, and how many descriptors, processes, mounts, processes in control groups and network
namespaces there are before, after, and once the Runner is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from flowray.engine.commands import StartStep
from flowray.engine.events import RunId, StepFinished
from flowray.engine.ports import RunRequest
from flowray.flow import langflow
from flowray.plan.planner import plan
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.cgroup_places import places
from flowray.sandbox.image import find_image
from flowray.stores.objects import open_objects

_FLOW = "name: Soak\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n"
_AT_ONCE, _SPARES, _SETTLES_S = 2, 4, 3.0


def below(root: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def counted() -> dict[str, int]:
    """What there is of everything that a run could leave behind."""
    ours = below(os.getpid())
    groups = {folder for place in places() for folder in place.folders.values()}
    held = [
        line
        for folder in groups
        for one in folder.glob(f"flowray-{os.getpid()}-*/*/cgroup.procs")
        for line in one.open()
    ]
    return {
        "descriptors": _descriptors(os.getpid()),
        "descriptors_of_zygotes": sum(_descriptors(pid) for pid in ours[1:]),
        "processes": len(ours),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes_in_groups": len(held),
        "namespaces": len({_namespace(pid) for pid in ours}),
    }


def memory_mib() -> dict[str, float]:
    """Resident memory of this process, and of the one that forks: the largest below it."""
    return {"runner": _rss(os.getpid()), "forker": max(_rss(pid) for pid in below(os.getpid())[1:])}


class Soak:
    """One Runner, and what it runs over and over."""

    def __init__(self) -> None:
        rules = Rules(size=PoolSize(spares=_SPARES))
        self.runner = Runner.on(find_image(), objects=open_objects("memory:"), rules=rules)
        self.done = 0
        self._about: dict[str, Any] = {}

    async def start(self) -> None:
        """Start the Runner and draw the flow."""
        await self.runner.start()
        flow = langflow.read(json.dumps((await self.runner.examine("expand", {"spec": _FLOW}))["flow"]))
        wanted = plan(flow, specs={})
        self._about = {"tenant": "soak", "flow": flow, "flow_id": "soak", "plan": wanted, "session": "s"}

    async def run(self, count: int) -> None:
        """Run the flow so many times, two at a time."""
        for _ in range(count // _AT_ONCE):
            await asyncio.gather(*(self._once() for _ in range(_AT_ONCE)))

    async def settled(self) -> dict[str, int]:
        """What there is once all spares are parked again."""
        await asyncio.sleep(_SETTLES_S)
        return counted()

    async def _once(self) -> None:
        self.done += 1
        request = RunRequest(run=RunId(f"r{self.done}"), input_value="hi", **self._about)
        for step in request.plan.steps:
            batches = [batch async for batch in self.runner.run(request, StartStep(step=step.id))]
            if not isinstance(batches[-1][-1], StepFinished):
                raise SystemExit(f"run {self.done} ended with {batches[-1][-1]}")


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=10_000)
    runs = arguments.parse_args().runs
    soak = Soak()
    await soak.start()
    await soak.run(runs // 20)
    before, began = await soak.settled(), time.perf_counter()
    await soak.run(runs // 20)
    early = memory_mib()
    await soak.run(runs - runs // 10)
    late, took_s, after = memory_mib(), time.perf_counter() - began, await soak.settled()
    await soak.runner.close()
    facts = {
        "runs": soak.done,
        "runs_per_s": round(runs * 0.95 / took_s, 1),
        f"rss_mib_after_{runs // 10}": {name: round(value, 1) for name, value in early.items()},
        f"rss_mib_after_{runs}": {name: round(value, 1) for name, value in late.items()},
        "grown_percent": {name: round(100 * (late[name] / early[name] - 1), 2) for name in early},
        "before": before,
        "after": after,
        "after_close": counted(),
    }
    print(json.dumps(facts, indent=2))


def _rss(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


if __name__ == "__main__":
    asyncio.run(main())
