"""What a sandbox costs: spares used up per second, spec to first instruction, memory, and CPU of one child's life.

    python benchmarks/spares.py                       # with the preload of the service
    python benchmarks/spares.py --preload pandas      # with other modules only
    python benchmarks/spares.py --bare                # an empty zygote: what the walls alone cost

All walls stand. `first` is counted from the moment before this process sends the spec to the first instruction of the
code in it: writing to the channel, waking the child, reading the spec, taking its limits and its sockets away, and
compiling the code are within; how the child was made is not. The packages are those of a Runner of the default pool,
where every run may import all there are; `first_declared` is a run that is held to fewer, in an image that has more.

The first form writes benchmarks/results/spares.json: without control groups, with one for each child, and held to
declared packages. With options, the one case is printed only. CPU is what the kernel charged to the child, the zygote
and this process; the kernel's own workers, which clean up namespaces, come on top (`machine_cpu_ms`, meaningful on an
idle machine only).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flowray.sandbox.child import Child
from flowray.sandbox.image import default_packages, find_image
from flowray.sandbox.limits import Limits
from flowray.sandbox.start import Inside
from flowray.sandbox.zygote import Zygote

_RESULTS = Path(__file__).parent / "results" / "spares.json"
_SERVICE, _WORK = ("flowray_sandbox.preload",), "flowray_sandbox.canary"
_FIRST = "import time; result = time.monotonic()"
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


async def run(
    child: Child, code: str, egress: Sequence[str] = (), declared: Sequence[str] | None = None
) -> tuple[float, float]:
    """Use one spare up: seconds from spec to its first instruction, and the CPU seconds of its life."""
    loop = asyncio.get_running_loop()
    spec = json.dumps({"code": code, "egress": list(egress), "packages": declared}).encode()
    sent = time.monotonic()
    await loop.sock_sendall(child.sock, struct.pack(">IB", len(spec), 1) + spec)
    answer = bytearray()
    while part := await loop.sock_recv(child.sock, 65536):
        answer += part
    ended = await child.wait()
    child.sock.close()
    return json.loads(answer[5:])["result"] - sent, ended.cpu_s


async def sustained(zygote: Zygote, runs: int, spares: int, egress: Sequence[str]) -> dict[str, float]:
    """Take, use up and replace spares, `spares` at a time."""
    ready: asyncio.Queue[Child] = asyncio.Queue()
    spawned: list[float] = []

    async def refill() -> None:
        started = time.perf_counter()
        ready.put_nowait(await zygote.spawn())
        spawned.append(time.perf_counter() - started)

    for _ in range(spares):
        await refill()
    before, machine, started = cpu_ms(zygote.pid), machine_ms(), time.perf_counter()
    ours, used = time.process_time(), []
    spawned.clear()

    async def use(count: int) -> None:
        for _ in range(count):
            child = await ready.get()
            if egress:
                _ = child.gate
            (_, cpu_s), _ = await asyncio.gather(run(child, _FIRST, egress), refill())
            used.append(cpu_s)

    await asyncio.gather(*(use(runs // 2) for _ in range(2)))
    took = time.perf_counter() - started
    facts = {
        "runs_per_s": runs / took,
        "spawn_p50_ms": statistics.median(spawned) * 1000,
        "child_cpu_ms": statistics.fmean(used) * 1000,
        "zygote_cpu_ms": (cpu_ms(zygote.pid) - before) / runs,
        "host_cpu_ms": (time.process_time() - ours) * 1000 / runs,
        "machine_cpu_ms": (machine_ms() - machine) / runs,
    }
    while not ready.empty():
        ready.get_nowait().close()
    return facts


async def latency(
    zygote: Zygote, runs: int, name: str = "first", declared: Sequence[str] | None = None
) -> dict[str, float]:
    """Spec to first instruction, one run at a time."""
    taken = []
    for _ in range(runs):
        child = await zygote.spawn()
        await asyncio.sleep(0.005)
        taken.append((await run(child, _FIRST, declared=declared))[0] * 1000)
    taken.sort()
    return {f"{name}_p50_ms": taken[len(taken) // 2], f"{name}_p90_ms": taken[len(taken) * 9 // 10]}


async def memory(zygote: Zygote, spares: int) -> dict[str, float]:
    """Private memory of parked spares."""
    children = [await zygote.spawn() for _ in range(spares)]
    private = [private_mib(pid_of(child.pidfd)) for child in children]
    for child in children:
        child.close()
        await child.wait()
    return {"parked_private_mib": statistics.fmean(private), "zygote_rss_mib": rss_mib(zygote.pid)}


def pid_of(pidfd: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def private_mib(pid: int) -> float:
    lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    return sum(int(line[1]) for line in lines if line[0] in ("Private_Dirty:", "Private_Clean:")) / 1024


def rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def cpu_ms(pid: int) -> float:
    """CPU of the process itself, to the microsecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def machine_ms() -> float:
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft) * _TICK_MS


async def held(runs: int) -> dict[str, float]:
    """Spec to first instruction where all but what the zygote has imported would have to be declared, and is not."""
    zygote = await Zygote.start(find_image(), Inside(warm=_SERVICE, work=_WORK))
    facts = await latency(zygote, runs, "first_declared", [])
    await zygote.stop()
    return facts


async def measured(wanted: argparse.Namespace, *, groups: bool) -> dict[str, float]:
    """All about one zygote."""
    started = time.perf_counter()
    inside = Inside(
        preload=wanted.preload or (),
        warm=() if wanted.bare or wanted.preload else _SERVICE,
        work=_WORK,
        lowered=wanted.lowered,
        always=default_packages(),
    )
    zygote = await Zygote.start(find_image(), inside, limits=Limits() if groups else None)
    facts: dict[str, float] = {"modules": zygote.modules, "start_s": time.perf_counter() - started}
    facts |= await memory(zygote, 8)
    facts |= await latency(zygote, 200)
    facts |= await sustained(zygote, wanted.runs, 4, ["example.org"] if wanted.egress else [])
    await zygote.stop()
    return facts


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--preload", nargs="*")
    options.add_argument("--bare", action="store_true")
    options.add_argument("--egress", action="store_true", help="grant egress: no network is used twice")
    options.add_argument("--runs", type=int, default=400)
    options.add_argument("--groups", action="store_true", help="with a control group for each child")
    options.add_argument("--lowered", nargs="*", default=())
    return options.parse_args()


async def main() -> None:
    wanted = arguments()
    if len(sys.argv) > 1:
        print(json.dumps(_rounded(await measured(wanted, groups=wanted.groups)), indent=2))
        return
    results = {
        "machine": f"{os.cpu_count()} cores, {platform.release()}",
        "without control groups": _rounded(await measured(wanted, groups=False)),
        "with control groups": _rounded(await measured(wanted, groups=True)),
        "held to declared packages": _rounded(await held(200)),
    }
    text = json.dumps(results, indent=2)
    print(text)
    _RESULTS.write_text(text + "\n")


def _rounded(facts: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in facts.items()}


if __name__ == "__main__":
    asyncio.run(main())
