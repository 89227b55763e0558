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

from flowray_sandbox import randomness, seccomp, syscalls
from flowray_sandbox.batch import Batch, Buffer, Place, buffer
from flowray_sandbox.descriptors import ALLOWED, CHANNEL, CONTROL, NULL, RULES, THEIRS
from flowray_sandbox.landlock import Landlock
from flowray_sandbox.packages import Packages

_OWN = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWCGROUP
_MOUNT_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
# No capability comes from uid 0, none survives a change of uid, none is ambient; and all of that is locked.
_SECUREBITS = 0b1110_1111
_CAPABILITY_VERSION = 0x20080522
_READY = b'{"pid":1}'
_RIGHTS = struct.Struct("=Qii2i")
_CLOSE_ALL = 0xFFFFFFFF
# What a forker is handed for each child, behind the head that the kernel puts there: a network namespace, the child's
# end of its channel, the host's end, and the ways into its control group, one for each tree that it is in.
ENTRANCES = 3
PASSED = 3 + ENTRANCES
PASSED_HEAD, PASSED_SIZE = 16, socket.CMSG_SPACE(4 * PASSED)

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
    """The list. What differs from child to child lies in memory when it is forked: its report and its descriptors.

    `lowered` names walls that an operator, or a test of this very wall, leaves out.
    """

    def __init__(self, report: Buffer, passed: Buffer, lowered: Collection[str], packages: Packages) -> None:
        """`passed` holds the descriptors that came with the order (see `PASSED`).

        `packages` have a rule set that waits for the spec.
        """
        namespace, ours, theirs, *entrances = (Place(passed, PASSED_HEAD + 4 * index) for index in range(PASSED))
        self._batch = Batch()
        self._rights = buffer(_RIGHTS.pack(_RIGHTS.size, socket.SOL_SOCKET, socket.SCM_RIGHTS, THEIRS, -1))
        self._separate(namespace, user_namespace="user_namespace" not in lowered)
        # As late as can be: what comes before is not slowed down by what the group may use of a core.
        for entrance in entrances:
            self._batch.add("write", entrance, buffer(b"0"), 1)
        self._batch.add("pidfd_open", 1, 0, store=Place(self._rights, _RIGHTS.size - 4))
        self._batch.add("dup3", theirs, THEIRS, 0)
        self._batch.add("dup3", ours, CHANNEL, 0)
        self._give_up_powers(locked="user_namespace" not in lowered)
        for address, size in randomness.states():
            self._batch.add("getrandom", address, size, 0)
        if "landlock" not in lowered:
            Landlock().add_to(self._batch, RULES)
        packages.prepare(self._batch)
        if "seccomp" not in lowered:
            self._batch.add("seccomp", 1, 0, seccomp.child().kept_by(self._batch))
        self._say_ready(report, kept=packages.enforced)
        self._build = self._batch.sealed()

    def build(self) -> None:
        """Build all walls around the calling process, a fresh fork that is pid 1 of its namespace, and say READY."""
        outcome = self._build()
        if outcome:
            raise self._batch.failure(outcome)

    def _separate(self, namespace: Place, *, user_namespace: bool) -> None:
        """Namespaces of its own (that of pids came with the fork) and a private /tmp and /dev/shm."""
        add = self._batch.add
        # A process group: its signals reach no other child. Not a session: the scheduler may weigh sessions, all alike,
        # and then no niceness would tell the sandbox of a flood from others.
        add("setpgid", 0, 0)
        add("unshare", _OWN)
        add("setns", namespace, syscalls.CLONE_NEWNET)
        for folder, size in ((b"/tmp", b"size=64m,nr_inodes=4096"), (b"/dev/shm", b"size=16m,nr_inodes=1024")):
            kind = buffer(b"tmpfs\0")
            add("mount", kind, buffer(folder + b"\0"), kind, _MOUNT_FLAGS, buffer(size + b",mode=1777\0"))
        add("chdir", buffer(b"/tmp\0"))
        if user_namespace:
            # Without a map its one user shows as 65534 inside and stays the outer jail's outside: nothing needs more,
            # writing maps would need a /proc, and the kernel lets no unmapped user make further user namespaces.
            add("unshare", syscalls.CLONE_NEWUSER)

    def _give_up_powers(self, *, locked: bool) -> None:
        """No capability, none to be had again, not readable by others. No-new-privileges was inherited."""
        if locked:  # takes a power that only the owner of a user namespace has
            self._batch.add("prctl", syscalls.PR_SET_SECUREBITS, _SECUREBITS)
        self._batch.add("capset", buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0)), buffer(24))
        self._batch.add("prctl", syscalls.PR_SET_DUMPABLE, 0)

    def _say_ready(self, report: Buffer, *, kept: bool) -> None:
        """Leave READY in the channel, then hand the host its end of it: when the host hears, READY is there."""
        ready = buffer(struct.pack(">IB", len(_READY), 16) + _READY)
        self._batch.add("write", CHANNEL, ready, len(ready))
        self._batch.add("sendmsg", CONTROL, message(self._batch, report, self._rights), 0)
        for standard in (0, 1, 2):
            self._batch.add("dup3", NULL, standard, 0)
        self._batch.add("close_range", CONTROL, ALLOWED - 1 if kept else ALLOWED, 0)
        self._batch.add("close_range", ALLOWED + 1, _CLOSE_ALL, 0)


_MESSAGE = struct.Struct("=QI4xQQQQi4x")
CONTROL_SIZE = 5 * 8


def message(batch: Batch, content: Buffer, control: Buffer) -> Buffer:
    """A `msghdr` of this content and this ancillary data, for sendmsg or recvmsg."""
    vector = buffer(struct.pack("=QQ", ctypes.addressof(content), len(content)))
    batch.keep(content, control, vector)
    parts = (ctypes.addressof(vector), 1, ctypes.addressof(control), len(control))
    return buffer(_MESSAGE.pack(0, 0, *parts, 0))
