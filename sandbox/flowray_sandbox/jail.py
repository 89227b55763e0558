"""The walls around one child, built by the child itself right after the fork, before a byte of the run reaches it.

The order matters. Namespaces and mounts come first, while the child still has the zygote's powers over the outer jail's
user namespace. Then comes a user namespace of its own: the others belong to the outer one, so no power over them is
left. Each later step takes away what only the steps before it needed; READY is the last.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import struct
import sys
from collections.abc import Collection, Mapping
from typing import Any

from flowray_sandbox import seccomp, syscalls
from flowray_sandbox.landlock import Landlock
from flowray_sandbox.network import Cell

CHANNEL, CONTROL, NULL = 3, 4, 5
_OWN = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWCGROUP
_MOUNT_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
# No capability comes from uid 0, none survives a change of uid, none is ambient; and all of that is locked.
_SECUREBITS = 0b1110_1111
_READY = struct.Struct(">IB")
_BORN = struct.Struct("<cIIB")
_HOME = "/tmp"  # noqa: S108 - private to the child
MIB = 1 << 20

# What every child inherits from the zygote; a spec can only lower it.
_INHERITED = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 64 << 10,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_SIGPENDING: 256,
    resource.RLIMIT_NICE: 0,
    resource.RLIMIT_RTPRIO: 0,
    resource.RLIMIT_NOFILE: 4096,
}


def inherit_limits() -> None:
    """Set in the zygote, once, the limits that are the same for all children."""
    for limit, most in _INHERITED.items():
        hard = resource.getrlimit(limit)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (value, value))


class Walls:
    """What the walls need, prepared in the zygote so that a child only has to put it up.

    `lowered` names walls that an operator, or a test of this very wall, leaves out.
    """

    def __init__(self, limits: Limits, lowered: Collection[str]) -> None:
        self._limits = limits
        self._landlock = None if "landlock" in lowered else Landlock()
        self._child_filter = None if "seccomp" in lowered else seccomp.child()
        self._offline_filter = None if "seccomp" in lowered else seccomp.offline()
        self._user_namespace = "user_namespace" not in lowered
        if "seccomp" not in lowered:
            whole = seccomp.inherited()
            syscalls.seccomp_filter(whole.header)

    def enter(self, cell: Cell, number: int, control: socket.socket) -> None:
        """Build all walls around the calling process, a fresh fork that is pid 1 of its namespace, and say READY."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        _separate(cell, user_namespace=self._user_namespace)
        ours, theirs = socket.socketpair()
        passed = [theirs.fileno(), os.pidfd_open(os.getpid())]
        if cell.listener is not None:
            passed.append(cell.listener.fileno())
        os.dup2(ours.fileno(), CHANNEL)
        for standard in (0, 1, 2):
            os.dup2(NULL, standard)
        _give_up_powers()
        _reseed()
        if self._landlock is not None:
            self._landlock.restrict()
        if self._child_filter is not None:
            syscalls.seccomp_filter(self._child_filter.header)
        _say_ready(number, cell, control, passed)
        ours.detach()
        theirs.detach()
        syscalls.close_from(CONTROL)

    def on_spec(self, spec: Mapping[str, Any]) -> None:
        """Tighten the walls to what this one spec grants. Called before any code of the flow runs."""
        self._limits.apply(spec)
        if self._offline_filter is not None and not spec.get("egress"):
            syscalls.seccomp_filter(self._offline_filter.header)


def _say_ready(number: int, cell: Cell, control: socket.socket, passed: list[int]) -> None:
    """Leave READY in the channel, then hand the host its end of it: when the host hears, READY is there."""
    ready = b'{"pid":%d}' % number
    os.write(CHANNEL, _READY.pack(len(ready), 16) + ready)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(passed)}i", *passed))]
    control.sendmsg([_BORN.pack(b"B", number, cell.number, len(passed))], rights)


def _separate(cell: Cell, *, user_namespace: bool) -> None:
    """Namespaces of its own (that of pids came with the fork), a private /tmp and /dev/shm, then a user namespace."""
    syscalls.unshare(_OWN)
    syscalls.setns(cell.namespace, syscalls.CLONE_NEWNET)
    syscalls.mount(b"tmpfs", b"/tmp", b"tmpfs", _MOUNT_FLAGS, b"size=64m,nr_inodes=4096,mode=1777")
    syscalls.mount(b"tmpfs", b"/dev/shm", b"tmpfs", _MOUNT_FLAGS, b"size=16m,nr_inodes=1024,mode=1777")
    os.chdir(_HOME)
    # Without a map its one user shows as 65534 inside and stays the outer jail's outside: nothing needs more, writing
    # maps would need a /proc, and the kernel lets no unmapped user make further user namespaces.
    if user_namespace:
        syscalls.unshare(syscalls.CLONE_NEWUSER)


def _give_up_powers() -> None:
    """No capability, none to be had again, not readable by others. No-new-privileges was inherited."""
    syscalls.prctl(syscalls.PR_SET_SECUREBITS, _SECUREBITS, 0, 0, 0)
    syscalls.drop_capabilities()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0, 0, 0, 0)


def _reseed() -> None:
    """Give each child its own random numbers: all are copies of one parent.

    OpenSSL notices a fork by the change of pid, which is why the zygote must not be pid 1 itself.
    """
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    ssl = sys.modules.get("_ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)


class Limits:
    """Turns a spec's limits into rlimits, counted from what a child already uses when it starts."""

    def __init__(self, data: int, address_space: int) -> None:
        self._data = data
        self._address_space = address_space

    def apply(self, spec: Mapping[str, Any]) -> None:
        """Hold the calling process to the limits of this spec: soft and hard, so that it cannot raise them."""
        wanted = spec.get("limits") or {}
        memory = int(wanted.get("memory_mib", 512)) * MIB
        for limit, value in (
            (resource.RLIMIT_DATA, self._data + memory),
            # Shared mappings count here only; the slack is for libraries and thread stacks, reserved and never used.
            (resource.RLIMIT_AS, self._address_space + memory + 1024 * MIB),
            (resource.RLIMIT_CPU, int(wanted.get("cpu_s", 300))),
            (resource.RLIMIT_NOFILE, int(wanted.get("open_files", 256))),
            (resource.RLIMIT_NPROC, int(wanted.get("processes", 64))),
            (resource.RLIMIT_FSIZE, int(wanted.get("file_mib", 64)) * MIB),
        ):
            resource.setrlimit(limit, (value, value))
