"""The warm parent that sandboxes are forked from: imports once, then forks on request and tells how each child ended.

It runs in the outer jail, holds nothing of any tenant, and has one thread. Its orders come over one socket, the control
channel at descriptor 4; a child announces itself on the same socket just before it closes it.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from flowray_sandbox import jail, memory, syscalls
from flowray_sandbox.network import Cell, Cells

Serve = Callable[[int, Callable[[Mapping[str, Any]], None]], None]

_ORDER = struct.Struct("<cI")
_GONE = struct.Struct("<cIIIddQ")
_THREAD_STACK = 2 << 20
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "SSL_CERT_FILE": "/etc/ssl/cert.pem"}  # noqa: S108 - private there


class Zygote:
    """Forks children on order and reaps them."""

    def __init__(self, control: socket.socket, serve: Serve, walls: jail.Walls) -> None:
        self._control = control
        self._serve = serve
        self._walls = walls
        self._cells = Cells()
        self._children: dict[int, tuple[int, int]] = {}
        self._self = os.pidfd_open(os.getpid())
        self._deaths, wake = os.pipe2(os.O_NONBLOCK)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Carry out orders until the host closes the channel."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._deaths, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._deaths in ready:
                self._reap()
            if self._control.fileno() in ready and not self._obey():
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
        cell = self._cells.take()
        # The next fork is pid 1 of a new namespace. The kernel grants that once, unless one returns to one's own first.
        syscalls.setns(self._self, syscalls.CLONE_NEWPID)
        syscalls.unshare(syscalls.CLONE_NEWPID)
        pid = syscalls.fork()
        if pid == 0:
            self._be_child(number, cell)
        self._children[pid] = (number, cell.number)
        if cell.listener is not None:
            cell.listener.close()
            cell.listener = None

    def _be_child(self, number: int, cell: Cell) -> NoReturn:
        status = 70
        gc.enable()
        try:
            self._walls.enter(cell, number, self._control)
            self._serve(jail.CHANNEL, self._walls.on_spec)
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never return into the zygote's loop
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        os.read(self._deaths, 512)
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            number, cell = self._children.pop(pid)
            told = _GONE.pack(b"G", number, cell, status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss)
            self._control.send(told)


def main(wanted: Mapping[str, Any]) -> None:
    """Prepare everything that children share, say so, and serve. Never returns into the interpreter's shutdown."""
    control = _own_descriptors(wanted["control"])
    try:
        zygote, facts = _prepare(control, wanted)
        control.send(b"R" + json.dumps(facts).encode())
        zygote.run()
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the host must hear of it
        traceback.print_exc()
        control.send(b"F" + f"{type(failure).__name__}: {failure}".encode()[:4000])
    finally:
        os._exit(0)


def _own_descriptors(control: int) -> socket.socket:
    """Give the few descriptors their places and close all others: one of a host folder would be a way out."""
    null = os.open("/dev/null", os.O_RDWR)
    control, null = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, jail.NULL + 1) for descriptor in (control, null))
    os.dup2(null, jail.CHANNEL)
    os.dup2(control, jail.CONTROL)
    os.dup2(null, jail.NULL)
    syscalls.close_from(jail.NULL + 1)
    return socket.socket(fileno=jail.CONTROL)


def _prepare(control: socket.socket, wanted: Mapping[str, Any]) -> tuple[Zygote, dict[str, Any]]:
    if os.getpid() == 1:
        # OpenSSL notices a fork by the pid; were parent and children all pid 1, all children would draw the same keys.
        raise RuntimeError("the zygote is pid 1")
    heap = memory.Heap()
    heap.use_for_arenas()
    serve = _warm(wanted)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    syscalls.assert_one_thread()
    jail.inherit_limits()
    threading.stack_size(_THREAD_STACK)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0, 0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    limits = jail.Limits(memory.in_use(resource.RLIMIT_DATA), memory.in_use(resource.RLIMIT_AS))
    heap.freeze()
    zygote = Zygote(control, serve, jail.Walls(limits, wanted["lowered"]))
    return zygote, {"modules": len(sys.modules)}


def _warm(wanted: Mapping[str, Any]) -> Serve:
    """Import what runs will need, the code that serves them last. The collector would only scan, again and again."""
    gc.disable()
    for name in wanted["preload"]:
        importlib.import_module(name)
    for name in wanted["warm"]:
        importlib.import_module(name).warm()
    serve: Serve = importlib.import_module(wanted["work"]).serve
    return serve
