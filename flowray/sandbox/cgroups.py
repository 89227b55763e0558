"""Control groups: what bounds the memory, threads and processor time of one sandbox, where this process may make any.

A group is at hand for each sandbox that is forked, with the limits that nearly all jobs have, so that handing a job
over costs next to nothing. The sandbox enters it by itself: its forker is given the way in, open. Both versions of the
kernel's interface are spoken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from flowray.sandbox.cgroup_places import SERVICE, Place, places
from flowray.sandbox.limits import Limits

_MIB = 1 << 20
_PERIOD_US = 100_000
# A sandbox's private folders (80 MiB) and its copies of the zygote's pages are charged to its group as well. With room
# for them, a bomb of ordinary memory meets the rlimit first, which Python answers with a MemoryError.
_BESIDE_MIB = 80 + 48
# All sandboxes together are one group among the machine's: more than the share of one process, and less than what would
# keep the gateway, the Runner and the stores waiting when sandboxes want all there is.
_SHARE = {1: ("cpu.shares", "2048"), 2: ("cpu.weight", "200")}
_EVENTS = {1: "memory.oom_control", 2: "memory.events"}
_PEAK = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}
# A lone thread may move itself without the lock over all forks of the machine, which takes milliseconds to get. Only
# version 1 has a file for that.
_ENTRANCE = {1: "tasks", 2: "cgroup.procs"}
_PREFIX = "flowray-"
# Of the groups that nobody uses, so many keep their files open, some seven each, when all rest: under load a group is
# used again in the same moment.
_KEPT_OPEN = 2
# How often a group is cleared of processes, which may go on forking, before it counts as one that cannot be used.
_MOVES = 20


def written(version: int, limits: Limits) -> Iterator[tuple[str, str, str]]:
    """What is written where for these limits: controller, file, value."""
    most = str((limits.memory_mib + _BESIDE_MIB) * _MIB)
    quota = int(limits.cores * _PERIOD_US)
    yield "pids", "pids.max", str(limits.processes)
    if version == 1:
        yield "memory", "memory.limit_in_bytes", most
        yield "cpu", "cpu.cfs_quota_us", str(quota or -1)
        yield "cpu", "cpu.shares", str(max(2, limits.cpu_weight * 1024 // 100))
    else:
        yield "memory", "memory.max", most
        yield "memory", "memory.swap.max", "0"
        yield "cpu", "cpu.max", f"{quota or 'max'} {_PERIOD_US}"
        yield "cpu", "cpu.weight", str(limits.cpu_weight)


class Group:
    """The group of one sandbox."""

    def __init__(self, version: int, folders: Mapping[str, Path], free: list[Group]) -> None:
        """`free` is where it goes when it can be used again."""
        self._version = version
        # As text: joining paths costs more than the kernel does.
        self._folders = {controller: str(folder) for controller, folder in folders.items()}
        self._apart = tuple(dict.fromkeys(self._folders.values()))
        self._peak = f"{self._folders['memory']}/{_PEAK[version]}" if "memory" in folders else ""
        self._free = free
        self._limits: Limits | None = None
        self._held: dict[str, str] = {}
        # What each sandbox's life reads and writes stays open while the group is in use.
        self._files: dict[tuple[str, int], int] = {}
        self._usable = True
        self.is_made = False
        # At most three descriptors, which stay the group's: a process that writes `0` to each has moved into it.
        self.entrances: tuple[int, ...] = ()

    def make(self, limits: Limits) -> None:
        """Make the group. The kernel may take its time for that."""
        for folder in self._apart:
            os.mkdir(folder)  # noqa: PTH102 - see `_folders`
        self.is_made = True
        self.limit(limits)
        self._open_entrances()

    def renew(self, limits: Limits) -> None:
        """Have a group that is made ready for the next sandbox.

        It weighs what it did: a parked sandbox wants nothing of a core, and its job is often of the same flood.
        """
        os.pwrite(self._opened(self._peak, os.O_WRONLY), b"0", 0)
        self.limit(limits if self._limits is None else replace(limits, cpu_weight=self._limits.cpu_weight))
        self._open_entrances()

    def limit(self, limits: Limits) -> None:
        """Set the limits, as far as they are not those that hold already."""
        if limits == self._limits:
            return
        self._limits = None
        for controller, name, value in written(self._version, limits):
            folder = self._folders.get(controller)
            if folder is None or self._held.get(name) == value:
                continue
            # A kernel without swap has no file to limit it by.
            if name != "memory.swap.max" or os.path.exists(f"{folder}/{name}"):  # noqa: PTH110 - see `_folders`
                self._set(f"{folder}/{name}", value, again=self._held.pop(name, None) is not None)
            self._held[name] = value
        self._limits = limits

    @property
    def weighs(self) -> bool:
        """Whether it decides what its processes get of a core that others want as well."""
        return "cpu" in self._folders

    def peak_mib(self) -> float:
        """The most memory that it had at once."""
        return int(self._read(self._peak)) / _MIB

    def end(self) -> bool:
        """The sandbox has ended: whether the kernel killed it for want of memory.

        Making groups and removing them costs the kernel more than a sandbox does, so another one gets this group,
        unless its counters cannot be set back: after such a kill, in version 2, and when they cannot be read.
        """
        was_short = self._was_short()
        if was_short or self._version > 1 or not self._usable:
            self.drop()
        else:
            self._free.append(self)
        return was_short

    def rest(self) -> None:
        """Close the files. They are opened again by whoever uses the group."""
        self.entrances = ()
        while self._files:
            os.close(self._files.popitem()[1])

    def drop(self) -> None:
        """Remove the group; what is still busy goes with the whole tree."""
        self._usable = False
        self.rest()
        for folder in self._apart:
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106 - see `_folders`

    def _was_short(self) -> bool:
        try:
            lines = self._read(f"{self._folders['memory']}/{_EVENTS[self._version]}").decode().splitlines()
        except OSError:
            # Whoever got this group next would be told what its counters have kept of this sandbox.
            self._usable = False
            return False
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def _set(self, file: str, value: str, *, again: bool) -> None:
        """Write a limit; the file of one that changes stays open, since it will change back."""
        if again:
            os.pwrite(self._opened(file, os.O_WRONLY), value.encode(), 0)
        else:
            _write(file, value)

    def _read(self, file: str) -> bytes:
        return os.pread(self._opened(file, os.O_RDONLY), 4096, 0)

    def _open_entrances(self) -> None:
        entrance = _ENTRANCE[self._version]
        self.entrances = tuple(self._opened(f"{folder}/{entrance}", os.O_WRONLY) for folder in self._apart)

    def _opened(self, file: str, how: int) -> int:
        if (file, how) not in self._files:
            self._files[file, how] = os.open(file, how)
        return self._files[file, how]


class Cgroups:
    """The groups of one zygote's sandboxes, below a folder of its own in each tree."""

    def __init__(self, place: Place) -> None:
        """Make the folder; `OSError` when this process may not."""
        self.version = place.version
        self._last = 0
        self._free: list[Group] = []
        name = f"{_PREFIX}{os.getpid()}-{_birth(os.getpid())}-{secrets.token_hex(4)}"
        for folder in set(place.folders.values()):
            _sweep(folder)
            if place.version > 1:
                _hand_down(folder, place.folders)
        self._own = {controller: folder / name for controller, folder in place.folders.items()}
        try:
            self._make()
        except OSError:
            self.close()
            raise

    @property
    def controllers(self) -> tuple[str, ...]:
        """What is bounded."""
        return tuple(self._own)

    def group(self) -> Group:
        """A group for one more sandbox."""
        if self._free:
            return self._free.pop()
        self._last += 1
        return Group(
            self.version, {controller: own / str(self._last) for controller, own in self._own.items()}, self._free
        )

    def rest(self) -> None:
        """Close the files of groups that nobody uses, all but the two that are used next."""
        for group in self._free[:-_KEPT_OPEN]:
            group.rest()

    def close(self) -> None:
        """Remove the folder. Every sandbox has ended."""
        for group in self._free:
            group.drop()
        for own in set(self._own.values()):
            _remove(own)

    def _make(self) -> None:
        for own in set(self._own.values()):
            own.mkdir()
            if self.version > 1:
                _hand_down(own, self._own)
        if "cpu" in self._own:
            name, share = _SHARE[self.version]
            _write(self._own["cpu"] / name, share)


def find_cgroups() -> Cgroups | None:
    """The first place where groups can be made and do hold a process; None when there is none."""
    for place in places():
        with contextlib.suppress(OSError):
            return Cgroups(place)
    return None


def sweep() -> None:
    """Remove what services that were killed have left behind, wherever this process may make groups."""
    for place in places():
        for folder in set(place.folders.values()):
            _sweep(folder)


def _hand_down(folder: Path, controllers: Mapping[str, Path]) -> None:
    """Let the parts of a group have the controllers."""
    wanted = " ".join(f"+{name}" for name in controllers)
    control = folder / "cgroup.subtree_control"
    for _ in range(_MOVES):
        try:
            _write(control, wanted)
        except OSError as refused:
            if refused.errno != errno.EBUSY:
                raise
            _make_way(folder)
        else:
            return
    _write(control, wanted)


def _make_way(folder: Path) -> None:
    """A group that holds processes cannot hand down, unless it is the root: they go into a part of it.

    One that is born meanwhile, of a parent that had not moved yet, stays behind: it is seen the next time.
    """
    service = folder / SERVICE
    service.mkdir(exist_ok=True)
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            _write(service / "cgroup.procs", pid)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*-*-*"):
        pid, birth = left.name.removeprefix(_PREFIX).split("-")[:2]
        if _birth(int(pid)) != birth:
            _remove(left)


def _remove(folder: Path) -> None:
    for part in folder.glob("*/"):
        with contextlib.suppress(OSError):
            part.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _birth(pid: int) -> str:
    """When a process began, in the kernel's ticks: with its pid, its name for ever. Empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _write(file: Path | str, value: str) -> None:
    descriptor = os.open(file, os.O_WRONLY)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
