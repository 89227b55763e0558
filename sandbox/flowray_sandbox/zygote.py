"""The warm parent as the host knows it: takes orders, hands out network namespaces, and tells how each child ended.

It runs in the outer jail, holds nothing of any tenant, and has one thread. Orders and reports go over one socket, the
control channel at descriptor 4; a child announces itself there just before it closes it. The forking itself is done by
the process that this one is a child of (see `forker`).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import traceback
from collections.abc import Sequence

from flowray_sandbox.descriptors import CONTROL, NULL, ORDERS
from flowray_sandbox.forker import ENDED, FORKED, ORDER
from flowray_sandbox.jail import ENTRANCES
from flowray_sandbox.network import Cell, Cells

_FROM_HOST = struct.Struct("<cI")
_GONE = struct.Struct("<cIIIddQQ")
_NO_CELL = 0
_NOT_FORKED = 71 << 8
_MOST = 8192


class Zygote:
    """Has children forked on the host's orders, and reaped."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._forker = socket.socket(fileno=ORDERS)
        self._cells = Cells()
        self._children: dict[int, tuple[int, int, int]] = {}
        # A child's end is an event on its pidfd.
        self._events = select.epoll()
        self._events.register(CONTROL, select.EPOLLIN)

    def run(self) -> None:
        """Carry out orders until the host closes the channel."""
        while True:
            for descriptor, _ in self._events.poll():
                if descriptor != CONTROL:
                    self._reap(descriptor)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        order, passed, _, _ = socket.recv_fds(self._control, _MOST, ENTRANCES)
        if not order:
            return False
        verb, number = _FROM_HOST.unpack_from(order)
        if verb == b"S":
            self._spawn(number, passed)
        elif verb == b"K":
            self._cells.keep(number)
        elif verb == b"D":
            self._cells.drop(number)
        elif verb == b"L":
            self._listen(number, order[_FROM_HOST.size :])
        return True

    def _spawn(self, number: int, entrances: Sequence[int]) -> None:
        """Have a child forked that enters its control group by these; what cannot be made costs it alone."""
        cell = _NO_CELL
        try:
            taken = self._cells.take(self._tell_cell)
            cell = taken.number
            ours, theirs = socket.socketpair()
        except OSError:
            traceback.print_exc()
            pid = -1
        else:
            pid = self._forked(number, taken, ours, theirs, entrances)
        for entrance in entrances:
            os.close(entrance)
        if pid < 0:
            self._tell_gone(number, cell, _NOT_FORKED, 0.0, 0.0, 0, 0)
            return
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, number, cell)
        self._events.register(pidfd, select.EPOLLIN)

    def _forked(
        self, number: int, cell: Cell, ours: socket.socket, theirs: socket.socket, entrances: Sequence[int]
    ) -> int:
        """The pid of a new child, or -1; entrances that are missing lead nowhere."""
        with ours, theirs:
            order = ORDER.pack(b"B", number, cell.number)
            ways = [*entrances, *[NULL] * (ENTRANCES - len(entrances))]
            socket.send_fds(self._forker, [order], [cell.namespace, ours.fileno(), theirs.fileno(), *ways])
        (pid,) = FORKED.unpack(self._forker.recv(FORKED.size))
        if pid < 0:
            sys.stderr.write("No child could be forked into a PID namespace: see user.max_pid_namespaces, pids.max.\n")
        return int(pid)

    def _listen(self, cell: int, doors: bytes) -> None:
        """Hand the host listeners in a cell, or none: what cannot be made costs one run, never the zygote."""
        listeners: list[socket.socket] = []
        head = _FROM_HOST.pack(b"L", cell)
        try:
            listeners.extend(self._cells.listen(cell, doors))
            socket.send_fds(self._control, [head], [listener.fileno() for listener in listeners])
        except (KeyError, OSError):
            traceback.print_exc()
            self._control.send(head)
        finally:
            for listener in listeners:
                listener.close()

    def _reap(self, pidfd: int) -> None:
        pid, number, cell = self._children.pop(pidfd)
        self._events.unregister(pidfd)
        os.close(pidfd)
        self._forker.send(ORDER.pack(b"W", pid, 0))
        status, *times, max_rss_kib, faults = ENDED.unpack(self._forker.recv(ENDED.size))
        user_s, system_s = times[0] + times[1] / 1e6, times[2] + times[3] / 1e6
        self._tell_gone(number, cell, status, user_s, system_s, max_rss_kib, faults)

    def _tell_gone(self, *facts: float) -> None:
        self._control.send(_GONE.pack(b"G", *facts))

    def _tell_cell(self, cell: Cell, listener: socket.socket) -> None:
        socket.send_fds(self._control, [_FROM_HOST.pack(b"C", cell.number)], [listener.fileno()])
