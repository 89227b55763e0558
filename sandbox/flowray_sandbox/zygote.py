"""The warm parent that sandboxes are forked from: imports once, then forks on order and tells how each child ended.

It runs in the outer jail, holds nothing of any tenant, and has one thread. Its orders come over one socket, the control
channel at descriptor 4; a child announces itself on the same socket just before it closes it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from flowray_sandbox import jail, seccomp, syscalls
from flowray_sandbox.allowance import Allowance
from flowray_sandbox.batch import Batch, buffer
from flowray_sandbox.descriptors import CHANNEL, CONTROL
from flowray_sandbox.network import Cell, Cells

Serve = Callable[[int, Callable[[Mapping[str, Any]], None]], None]

_ORDER = struct.Struct("<cI")
_CELL = struct.Struct("<cI")
_GONE = struct.Struct("<cIIIddQ")
_PAIR = struct.Struct("=2i")


class Zygote:
    """Forks children on order and reaps them."""

    def __init__(self, control: socket.socket, serve: Serve, lowered: Collection[str]) -> None:
        self._control = control
        self._serve = serve
        self._lowered = lowered
        self._walls = jail.Walls(lowered)
        self._allowance = Allowance(lowered)
        self._cells = Cells()
        self._children: dict[int, tuple[int, int, int]] = {}
        self._pair = buffer(_PAIR.size)
        self._before = Batch()
        self._before.add("socketpair", socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0, self._pair)
        # The next fork is pid 1 of a new namespace. The kernel grants that once, unless one returns to one's own first.
        self._before.add("setns", os.pidfd_open(os.getpid()), syscalls.CLONE_NEWPID)
        self._before.add("unshare", syscalls.CLONE_NEWPID)
        self._before.seal()
        # A child's end is an event on its pidfd: no signal handler that a child would have to undo.
        self._events = select.epoll()
        self._events.register(control, select.EPOLLIN)

    def lock(self) -> None:
        """Take from the zygote itself, and so from all children, what none of them needs."""
        jail.inherit_limits()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0, 0, 0, 0)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if "seccomp" not in self._lowered:
            seccomp.install(seccomp.inherited())

    def run(self) -> None:
        """Carry out orders until the host closes the channel."""
        while True:
            for descriptor, _ in self._events.poll():
                if descriptor != CONTROL:
                    self._reap(descriptor)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        order = self._control.recv(_ORDER.size)
        if not order:
            return False
        verb, number = _ORDER.unpack(order)
        if verb == b"S":
            self._spawn(number)
        elif verb == b"K":
            self._cells.keep(number)
        elif verb == b"D":
            self._cells.drop(number)
        return True

    def _spawn(self, number: int) -> None:
        cell = self._cells.take(self._tell_cell)
        self._before.run()
        ours, theirs = _PAIR.unpack(self._pair)
        self._walls.prepare(cell, number, (ours, theirs))
        pid = syscalls.fork()
        if pid == 0:
            self._be_child()
        os.close(ours)
        os.close(theirs)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, number, cell.number)
        self._events.register(pidfd, select.EPOLLIN)

    def _be_child(self) -> NoReturn:
        status = 70
        try:
            self._walls.build()
            self._serve(CHANNEL, self._allowance.apply)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never return into the zygote's loop
            traceback.print_exc()
        finally:
            os._exit(status)

    def _tell_cell(self, cell: Cell, listener: socket.socket) -> None:
        socket.send_fds(self._control, [_CELL.pack(b"C", cell.number)], [listener.fileno()])

    def _reap(self, pidfd: int) -> None:
        pid, number, cell = self._children.pop(pidfd)
        # Closing alone would not do: children that are just being forked still hold copies of the descriptor.
        self._events.unregister(pidfd)
        os.close(pidfd)
        _, status, usage = os.wait4(pid, 0)
        told = _GONE.pack(b"G", number, cell, status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss)
        self._control.send(told)
