"""The walls around one child: a list of system calls, written in the zygote, made by the child right after its fork.

The order matters. Namespaces and mounts come first, while the child still has the zygote's powers over the outer jail's
user namespace. Then comes a user namespace of its own: the others belong to the outer one, so no power over them is
left. Each later step takes away what only the steps before it needed; READY is the last.
"""

from __future__ import annotations

import ctypes
import resource
import socket
import struct
from collections.abc import Collection

from flowray_sandbox import seccomp, syscalls
from flowray_sandbox.batch import Batch, buffer
from flowray_sandbox.descriptors import CHANNEL, CONTROL, NULL, RULES
from flowray_sandbox.landlock import Landlock
from flowray_sandbox.network import Cell
from flowray_sandbox.randomness import states

_OWN = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWCGROUP
_MOUNT_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
# No capability comes from uid 0, none survives a change of uid, none is ambient; and all of that is locked.
_SECUREBITS = 0b1110_1111
_CAPABILITY_VERSION = 0x20080522
_READY = b'{"pid":1}'
_BORN = struct.Struct("<cII")
_DESCRIPTORS = struct.Struct("=2i")
_RIGHTS = struct.Struct("=Qii2i")
_MESSAGE = struct.Struct("=QI4xQQQQi4x")
_CLOSE_ALL = 0xFFFFFFFF

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
    """The list, and the few places in it that differ from child to child.

    `lowered` names walls that an operator, or a test of this very wall, leaves out.
    """

    def __init__(self, lowered: Collection[str]) -> None:
        self._report = buffer(_BORN.size)
        self._rights = buffer(_RIGHTS.pack(_RIGHTS.size, socket.SOL_SOCKET, socket.SCM_RIGHTS, 0, 0))
        self._batch = Batch()
        self._namespace, self._channel = self._separate(user_namespace="user_namespace" not in lowered)
        self._give_up_powers()
        for address, size in states():
            self._batch.add("getrandom", address, size, 0)
        if "landlock" not in lowered:
            Landlock().add_to(self._batch, RULES)
        if "seccomp" not in lowered:
            self._batch.add("seccomp", 1, 0, seccomp.child().kept_by(self._batch))
        self._say_ready()
        self._batch.seal()

    def prepare(self, cell: Cell, number: int, channel: tuple[int, int]) -> None:
        """Fill in what belongs to the next child. Called in the zygote."""
        ours, theirs = channel
        self._batch.change(self._namespace, 0, cell.namespace)
        self._batch.change(self._channel, 0, ours)
        _BORN.pack_into(self._report, 0, b"B", number, cell.number)
        _DESCRIPTORS.pack_into(self._rights, _RIGHTS.size - _DESCRIPTORS.size, theirs, -1)

    def build(self) -> None:
        """Build all walls around the calling process, a fresh fork that is pid 1 of its namespace, and say READY."""
        self._batch.run()

    def _separate(self, *, user_namespace: bool) -> tuple[int, int]:
        """Namespaces of its own (that of pids came with the fork), a private /tmp and /dev/shm; then the channel."""
        add = self._batch.add
        add("setsid")
        add("unshare", _OWN)
        namespace = add("setns", -1, syscalls.CLONE_NEWNET)
        for folder, size in ((b"/tmp", b"size=64m,nr_inodes=4096"), (b"/dev/shm", b"size=16m,nr_inodes=1024")):
            kind = buffer(b"tmpfs\0")
            add("mount", kind, buffer(folder + b"\0"), kind, _MOUNT_FLAGS, buffer(size + b",mode=1777\0"))
        add("chdir", buffer(b"/tmp\0"))
        if user_namespace:
            # Without a map its one user shows as 65534 inside and stays the outer jail's outside: nothing needs more,
            # writing maps would need a /proc, and the kernel lets no unmapped user make further user namespaces.
            add("unshare", syscalls.CLONE_NEWUSER)
        add("pidfd_open", 1, 0, store=ctypes.addressof(self._rights) + _RIGHTS.size - _DESCRIPTORS.size // 2)
        channel = add("dup3", -1, CHANNEL, 0)
        return namespace, channel

    def _give_up_powers(self) -> None:
        """No capability, none to be had again, not readable by others. No-new-privileges was inherited."""
        self._batch.add("prctl", syscalls.PR_SET_SECUREBITS, _SECUREBITS)
        self._batch.add("capset", buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0)), buffer(24))
        self._batch.add("prctl", syscalls.PR_SET_DUMPABLE, 0)

    def _say_ready(self) -> None:
        """Leave READY in the channel, then hand the host its end of it: when the host hears, READY is there."""
        ready = buffer(struct.pack(">IB", len(_READY), 16) + _READY)
        vector = buffer(struct.pack("=QQ", ctypes.addressof(self._report), _BORN.size))
        message = _MESSAGE.pack(0, 0, ctypes.addressof(vector), 1, ctypes.addressof(self._rights), _RIGHTS.size, 0)
        self._batch.add("write", CHANNEL, ready, len(ready))
        self._batch.add("sendmsg", CONTROL, buffer(message), 0)
        for standard in (0, 1, 2):
            self._batch.add("dup3", NULL, standard, 0)
        self._batch.add("close_range", CONTROL, _CLOSE_ALL, 0)
        self._batch.keep(vector)
