"""What the sandboxes of a service hold of the machine: enough to see what a run left behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from flowray.sandbox.cgroup_places import places
from tests.kit.processes import descendants, named

_PROC = Path("/proc")
_ESTABLISHED = "01"
_SETTLES_WITHIN_S = 15.0
# What a service at work has more of now and then: connections to its stores, threads, one more network for a spare.
# One left behind by each run would be more than that after a dozen runs.
_MORE = {
    "processes": 2,
    "descriptors": 12,
    "open_groups": 4,  # two that nobody uses keep their files open
    "mount_spaces": 2,
    "network_spaces": 4,
    "in_groups": 2,
    "connections": 2,
}


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Counts over a Runner and all below it: parked spares are among them."""

    processes: int
    descriptors: int
    open_groups: int
    mount_spaces: int
    network_spaces: int
    in_groups: int
    connections: int


def footprint(supervisor: int) -> Footprint:
    """What the service's first Runner holds now."""
    runner = runner_of(supervisor)
    below = set(descendants(runner))
    descriptors, open_groups = _descriptors(runner)
    return Footprint(
        processes=len(below),
        descriptors=descriptors,
        open_groups=open_groups,
        mount_spaces=_spaces(below, "mnt"),
        network_spaces=_spaces(below, "net"),
        in_groups=_in_groups(runner),
        connections=_connections(runner),
    )


def runner_of(supervisor: int) -> int:
    """The process of the service's first Runner."""
    return named(supervisor, "ServeReplica:flowray:runner")[0]


def groups_of(runner: int) -> list[Path]:
    """The folders of control groups that this Runner made and that are there, whether it still runs or not."""
    return [found for folder in _trees(_PROC / "self") for found in folder.glob(f"flowray-{runner}-*")]


def settled(supervisor: int, before: Footprint) -> list[str]:
    """What stays well above `before` once things had time to settle; empty when nothing does."""
    deadline = time.monotonic() + _SETTLES_WITHIN_S
    while True:
        left = _above(footprint(supervisor), before)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _above(now: Footprint, before: Footprint) -> list[str]:
    counts = [(field.name, getattr(before, field.name), getattr(now, field.name)) for field in fields(Footprint)]
    return [f"{name}: {was} before, {is_now} now" for name, was, is_now in counts if is_now > was + _MORE[name]]


def _descriptors(runner: int) -> tuple[int, int]:
    """The Runner's own, without those of its sandboxes' control groups; of how many groups it has files open.

    A group has up to seven, which come and go with its use: counted with the others they would hide a leak or look like
    one.
    """
    groups, others = set(), 0
    for path in _open_paths(runner):
        if path.parent.parent.name.startswith(f"flowray-{runner}-"):
            groups.add(path.parent.name)  # the same in the tree of each controller
        else:
            others += 1
    return others, len(groups)


def _open_paths(runner: int) -> Iterator[Path]:
    for link in (_PROC / str(runner) / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            yield link.readlink()


def _spaces(pids: set[int], kind: str) -> int:
    found = set()
    for pid in pids:
        try:
            found.add((_PROC / str(pid) / "ns" / kind).readlink())
        except OSError:  # it ended
            continue
    return len(found)


def _in_groups(runner: int) -> int:
    """Processes in the control groups of this Runner's sandboxes, in one of the trees that it has them in."""
    trees = [list(folder.glob(f"flowray-{runner}-*/*/cgroup.procs")) for folder in _trees(_PROC / str(runner))]
    counts = [sum(len(_read(procs).split()) for procs in tree) for tree in trees]
    return max(counts, default=0)


def _trees(process: Path) -> set[Path]:
    """Where a process may make control groups."""
    return {folder for place in places(process) for folder in place.folders.values()}


def _connections(runner: int) -> int:
    """Connections over TCP, all of whose ends are on this machine when a test runs."""
    lines = _read(_PROC / str(runner) / "net" / "tcp").splitlines()[1:]
    sockets = {str(path) for path in _open_paths(runner)}
    words = (line.split() for line in lines)
    return sum(one[3] == _ESTABLISHED and f"socket:[{one[9]}]" in sockets for one in words)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
