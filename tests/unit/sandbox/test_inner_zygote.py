"""What a zygote does when the kernel refuses it something: one child is not born, all others live on."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NoReturn

import pytest

from flowray_sandbox import forker, zygote
from flowray_sandbox.copies import Copies
from flowray_sandbox.jail import PASSED
from flowray_sandbox.zygote import Zygote

_NOT_FORKED = 71


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The zygote's end of the socket to its forker."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(forker, "ORDERS", theirs.fileno())
    monkeypatch.setattr(zygote, "ORDERS", os.dup(theirs.fileno()))
    with ours, theirs:
        yield ours


def test_nothing_is_forked_without_a_pid_namespace_of_its_own(
    orders: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered = ("landlock", "seccomp", "user_namespace")
    forks = forker.Forker(lambda *_: None, always=(), lowered=lowered, desk=forker.Desk(), copies=Copies())
    monkeypatch.setattr(forks, "_before_fork", lambda: lambda: errno.ENOSPC)
    monkeypatch.setattr("flowray_sandbox.syscalls.fork", lambda: pytest.fail("forked"))
    socket.send_fds(orders, [forker.ORDER.pack(b"B", 1, 1)], [os.dup(0) for _ in range(PASSED)])
    orders.shutdown(socket.SHUT_WR)

    forks.run()

    assert forker.FORKED.unpack(orders.recv(forker.FORKED.size)) == (-1,)


@pytest.mark.usefixtures("orders")
def test_a_zygote_that_can_make_no_more_networks_says_that_a_child_was_not_born(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(zygote, "CONTROL", control.fileno())

    def refuse(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "no more network namespaces")

    monkeypatch.setattr("flowray_sandbox.network.make_cell", refuse)
    entrance = os.dup(0)
    socket.send_fds(host, [struct.pack("<cI", b"S", 7)], [entrance])
    host.shutdown(socket.SHUT_WR)

    with host, control:
        born_of = Zygote(control)
        born_of.run()
        told = struct.unpack("<cIIIddQQ", host.recv(100))

    born_of._forker.close()
    assert told[:4] == (b"G", 7, 0, _NOT_FORKED << 8)
