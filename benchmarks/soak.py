"""Ten thousand runs in a row on one Runner: does anything grow, or stay behind?

    python benchmarks/soak.py                # 10,000 steps of a small flow with a component of the user's own
    python benchmarks/soak.py --runs 2000

Prints one JSON object: memory of the Runner's process, the zygote and the forker after a tenth of the runs and after
all, and the descriptors, processes, mounts, control groups and network namespaces before and after. Memory is what the
kernel calls proportional set size where a process shares pages with its children, else resident size.
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
_AT_ONCE = 2


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


def counted(expected_spares: int) -> dict[str, int]:
    """What there is of everything that a run could leave behind."""
    ours = below(os.getpid())
    groups = {folder for place in places() for folder in place.folders.values()}
    held = [line for folder in groups for one in folder.glob("flowray-*/*/cgroup.procs") for line in one.open()]
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "descriptors_of_zygotes": sum(_descriptors(pid) for pid in ours[1:]),
        "processes": len(ours),
        "spares": expected_spares,
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes_in_groups": len(held),
        "namespaces": len({_namespace(pid) for pid in ours}),
    }


def memory_mib(runner: Runner) -> dict[str, float]:
    """Resident memory of this process, and of the two that forks come from, which are the largest below it."""
    sizes = sorted((_rss(pid) for pid in below(os.getpid())[1:]), reverse=True)
    del runner
    return {"runner": _rss(os.getpid()), "forker": sizes[0]}


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=10_000)
    runs = arguments.parse_args().runs
    spares = 4
    runner = Runner.on(find_image(), objects=open_objects("memory:"), rules=Rules(size=PoolSize(spares=spares)))
    await runner.start()
    flow = langflow.read(json.dumps((await runner.expand(_FLOW))["flow"]))
    wanted = plan(flow, specs={})
    request: dict[str, Any] = {"tenant": "soak", "flow": flow, "flow_id": "soak", "plan": wanted, "session": "s"}
    done = 0

    async def one() -> None:
        nonlocal done
        for step in wanted.steps:
            start = StartStep(step=step.id)
            last = None
            async for events in runner.run(RunRequest(run=RunId(f"r{done}"), input_value="hi", **request), start):
                last = events[-1]
            if not isinstance(last, StepFinished):
                raise SystemExit(f"run {done} ended with {last}")
        done += 1

    async def many(count: int) -> None:
        for _ in range(count // _AT_ONCE):
            await asyncio.gather(*(one() for _ in range(_AT_ONCE)))

    async def settled() -> dict[str, int]:
        while runner.stats().parked != spares or runner.stats().at_work:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        return counted(runner.stats().parked)

    await many(100)
    before, began = await settled(), time.perf_counter()
    await many(runs // 10 - 100)
    early = memory_mib(runner)
    await many(runs - runs // 10)
    took_s, after, late = time.perf_counter() - began, await settled(), memory_mib(runner)
    await runner.close()
    facts = {
        "runs": done,
        "runs_per_s": round((done - 100) / took_s, 1),
        f"rss_mib_after_{runs // 10}": {name: round(value, 1) for name, value in early.items()},
        f"rss_mib_after_{runs}": {name: round(value, 1) for name, value in late.items()},
        "grown_percent": {name: round(100 * (late[name] / early[name] - 1), 2) for name in early},
        "before": before,
        "after": after,
        "left_after_close": counted(0),
    }
    print(json.dumps(facts, indent=2))


def _rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


if __name__ == "__main__":
    asyncio.run(main())
