"""The process that children are copies of. It does next to nothing itself.

Whatever it writes between two forks is copied page by page, breaks up the huge pages around it, and makes every later
fork and exit dearer. So the thinking is done in another process, the zygote's, and this one only takes orders from it:
fork a child with these descriptors, or wait for that one's end.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from flowray_sandbox import randomness, readiness, syscalls
from flowray_sandbox.allowance import Allowance
from flowray_sandbox.batch import Batch, Buffer, Place, buffer
from flowray_sandbox.copies import Copies
from flowray_sandbox.descriptors import CHANNEL, ORDERS
from flowray_sandbox.jail import CONTROL_SIZE, PASSED, PASSED_HEAD, PASSED_SIZE, Walls, message
from flowray_sandbox.packages import Packages

Serve = Callable[[int, Callable[[Mapping[str, Any]], None]], None]

# An order is what a child reports, sent on as it is: 'B', its number, its cell. Or 'W' and the pid to wait for.
ORDER = struct.Struct("<cII")
FORKED = struct.Struct("=i")
# A wait status and a `struct rusage`: two times, the largest size, three of no use, page faults, and more of no use.
ENDED = struct.Struct("=i4qq24xq72x")
_RUSAGE = 144
_CLONE_FAILED = -1


class Desk:
    """What the forker writes from one fork to the next: messages, and counters in the code of its loop.

    Each huge page that it writes to is broken up for good, and costs every later fork and exit five hundred entries. So
    its desk is made where pages are broken up anyway: in the room, before that is closed.
    """

    def __init__(self) -> None:
        Forker.run.__code__ = Forker.run.__code__.replace()
        # More than what Python serves from its own pools, which lie elsewhere.
        self._sheet, self._taken = buffer(mmap.PAGESIZE), 0
        self.order = self._part(ORDER.size)
        self.passed = self._part(PASSED_SIZE)
        self.received = self._part(4)
        self.forked = self._part(FORKED.size)
        self.ended = self._part(4 + _RUSAGE)

    def _part(self, size: int) -> Buffer:
        start, self._taken = self._taken, self._taken + -(-size // 16) * 16
        return (ctypes.c_char * size).from_buffer(self._sheet, start)


class Forker:
    """Forks and waits on order."""

    def __init__(
        self,
        serve: Serve,
        *,
        always: Collection[str],
        lowered: Collection[str],
        desk: Desk,
        copies: Copies,
    ) -> None:
        self._serve = serve
        self._order, self._passed, self._received = desk.order, desk.passed, desk.received
        self._forked, self._ended = desk.forked, desk.ended
        self._packages = Packages(always=always, lowered=lowered)
        self._copies = copies
        self._walls = Walls(self._order, self._passed, lowered, self._packages)
        self._allowance = Allowance(lowered)
        self._batches: list[Batch] = []

    def measure(self) -> None:
        """Count the children's limits from what is in use now: nothing large comes later."""
        self._allowance.measure()

    def run(self) -> None:
        """Carry out orders until the zygote ends."""
        receive, before, after, wait = self._receiving(), self._before_fork(), self._after_fork(), self._waiting()
        received, forked = ctypes.c_int.from_buffer(self._received), ctypes.c_int.from_buffer(self._forked)
        order, reset = self._order, self._reset
        while True:
            reset.value = PASSED_SIZE
            if receive() or not received.value:
                return
            if order[0] == b"W":
                wait()
                continue
            # Without a namespace of its own, the child would be one of the zygote's.
            forked.value = _CLONE_FAILED if before() else syscalls.fork()
            if forked.value == 0:
                self._be_child()
            after()

    def _be_child(self) -> NoReturn:
        status = 70
        try:
            self._copies.take()
            self._walls.build()
            randomness.reseed()
            readiness.get_ready(self._allowance)
            self._serve(CHANNEL, self._hold)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never return into the loop
            traceback.print_exc()
        finally:
            os._exit(status)

    def _hold(self, spec: Mapping[str, Any]) -> None:
        """Hold a child to what its spec grants."""
        self._allowance.apply(spec)
        self._packages.apply(spec)

    def _receiving(self) -> Callable[[], int]:
        batch = self._new_batch()
        header = message(batch, self._order, self._passed)
        # The kernel writes back how much of the ancillary data it filled.
        self._reset = ctypes.c_uint64.from_buffer(header, CONTROL_SIZE)
        batch.add("recvmsg", ORDERS, header, socket.MSG_CMSG_CLOEXEC, store=Place(self._received))
        return batch.sealed()

    def _before_fork(self) -> Callable[[], int]:
        batch = self._new_batch()
        # The next fork is pid 1 of a new namespace. The kernel grants that once, unless one returns to one's own first.
        batch.add("setns", os.pidfd_open(os.getpid()), syscalls.CLONE_NEWPID)
        batch.add("unshare", syscalls.CLONE_NEWPID)
        return batch.sealed()

    def _after_fork(self) -> Callable[[], int]:
        batch = self._new_batch()
        batch.add("write", ORDERS, self._forked, FORKED.size)
        for index in range(PASSED):
            batch.add("close", Place(self._passed, PASSED_HEAD + 4 * index))
        return batch.sealed()

    def _waiting(self) -> Callable[[], int]:
        batch = self._new_batch()
        usage = ctypes.addressof(self._ended) + 4
        batch.add("wait4", Place(self._order, 1), self._ended, 0, usage)
        batch.add("write", ORDERS, self._ended, len(self._ended))
        return batch.sealed()

    def _new_batch(self) -> Batch:
        self._batches.append(Batch())
        return self._batches[-1]
