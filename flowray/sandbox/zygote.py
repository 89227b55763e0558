"""The host's side of a zygote: starts it in the outer jail, orders children, and hears how they ended."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any

from flowray.errors import SandboxUnavailableError
from flowray.sandbox import control
from flowray.sandbox.cgroups import Group, find_cgroups
from flowray.sandbox.child import Child, Exit
from flowray.sandbox.grouping import Grouping
from flowray.sandbox.image import Image
from flowray.sandbox.limits import Limits
from flowray.sandbox.orders import Orders
from flowray.sandbox.start import Inside, launch

_START_S = 300.0
_STOP_S = 5.0
_LISTEN_S = 5.0
_LAST_BYTES = 4000


class Zygote:
    """One warm parent. Start it with `Zygote.start`, from a thread that lives as long as it shall."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, log: IO[bytes]) -> None:
        self.pid = 0
        self.closed = asyncio.Event()
        self.modules = 0
        self._process = process
        self._channel = channel
        self._orders = Orders(channel)
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._awaited: dict[int, tuple[asyncio.Future[Child], Group | None]] = {}
        self._children: dict[int, Child] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._groups: Grouping | None = None
        self._listening: dict[int, asyncio.Future[Sequence[socket.socket]]] = {}
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(channel.fileno(), self._on_reports)

    @classmethod
    async def start(
        cls,
        image: Image,
        inside: Inside | None = None,
        *,
        limits: Limits | None = None,
        log: Path | None = None,
    ) -> Zygote:
        """Start a zygote and wait until it is warm.

        With `limits`, each child gets a control group that holds it to them, where groups can be made. What the zygote
        prints goes to `log`.
        """
        try:
            with ExitStack() as opened:
                zygote = cls(*launch(image, inside or Inside(), log, opened))
                opened.pop_all()  # closed by stop
        except OSError as cause:
            raise SandboxUnavailableError(f"The zygote could not be started: {cause}") from cause
        if limits is not None and (cgroups := find_cgroups()) is not None:
            zygote._groups = Grouping(cgroups, limits)
        try:
            async with asyncio.timeout(_START_S):
                await zygote._started
        except TimeoutError as cause:
            await zygote.stop()
            raise SandboxUnavailableError(f"The zygote was not warm after {_START_S:.0f} s") from cause
        except BaseException:
            await zygote.stop()
            raise
        return zygote

    async def spawn(self) -> Child:
        """Order one child and wait until it is parked behind its walls."""
        if self.closed.is_set():
            raise self._ended()
        group = await self._group()
        self._last += 1
        awaited: asyncio.Future[Child] = self._loop.create_future()
        self._awaited[self._last] = awaited, group
        self._orders.give(control.spawn(self._last), group.entrances if group else ())
        try:
            return await awaited
        except asyncio.CancelledError:
            if not awaited.cancelled() and awaited.exception() is None:
                awaited.result().close()  # born in the same moment in which nobody wants it any more
            raise

    async def stop(self) -> None:
        """End the zygote and every child, and wait until they are gone."""
        self._close()
        self._channel.close()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        for child in self._children.values():
            await child.wait()
        if self._groups is not None:
            await self._groups.close()
        self._log.close()

    async def _group(self) -> Group | None:
        """A control group for a child, where groups can be made."""
        if self._groups is None:
            return None
        group = await self._groups.take()
        if self.closed.is_set():
            group.drop()
            raise self._ended()
        return group

    async def _listen(self, cell: int, doors: Sequence[tuple[str, int]]) -> Sequence[socket.socket]:
        """Have the zygote listen in a cell's network."""
        if self.closed.is_set():
            raise self._ended()
        listening: asyncio.Future[Sequence[socket.socket]] = self._loop.create_future()
        self._listening[cell] = listening
        try:
            self._orders.give(control.listen(cell, doors))
            async with asyncio.timeout(_LISTEN_S):
                listeners = await listening
        except TimeoutError as cause:
            raise SandboxUnavailableError("The zygote does not answer.") from cause
        finally:
            del self._listening[cell]
        if len(listeners) != len(doors):
            _close(listeners)
            raise SandboxUnavailableError(f"{len(doors)} listeners could not be made in a sandbox's network.")
        return listeners

    def _on_reports(self) -> None:
        while not self.closed.is_set():
            try:
                report = self._receive()
            except BlockingIOError:
                return
            self._on_report(report)

    def _receive(self) -> control.Report | None:
        try:
            return control.receive(self._channel)
        except ConnectionResetError:
            return None

    def _on_report(self, report: control.Report | None) -> None:
        match report:
            case control.NewCell():
                self._on_new_cell(report)
            case control.Born():
                self._on_born(report)
            case control.Listening():
                self._on_listening(report)
            case control.Gone():
                self._on_gone(report)
            case control.Started(pid=pid, facts=facts):
                self.pid, self.modules = pid, json.loads(facts)["modules"]
                self._started.set_result(None)
            case control.Failed(reason=reason):
                self._fail_start(reason)
            case None:
                self._fail_start("it ended")
                self._close()

    def _on_new_cell(self, report: control.NewCell) -> None:
        for listener in report.listeners:
            self._listeners[report.cell] = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, listener)

    def _on_born(self, born: control.Born) -> None:
        listener, listen = self._listeners.get(born.cell), partial(self._listen, born.cell)
        if listener is None or len(born.passed) < _OF_A_CHILD:
            self._on_unreachable(born)
            return
        channel, pidfd = born.passed
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, channel)
        sock.settimeout(0)
        sock.recv(_READY_SIZE)
        child = Child(pid=born.pid, sock=sock, pidfd=pidfd, listener=listener, listen=listen)
        self._children[born.number] = child
        awaited, child.group = self._awaited.pop(born.number)
        if awaited.cancelled():
            child.close()
        else:
            awaited.set_result(child)

    def _on_unreachable(self, born: control.Born) -> None:
        """There was no room for what belongs to it. With its channel closed it ends, and is told of as any other."""
        for descriptor in born.passed:
            os.close(descriptor)
        awaited, _ = self._awaited[born.number]
        if not awaited.done():
            awaited.set_exception(
                SandboxUnavailableError("A child could not be reached: too many open files (see ulimit -n)")
            )

    def _on_listening(self, report: control.Listening) -> None:
        listeners = [socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, one) for one in report.listeners]
        awaited = self._listening.get(report.cell)
        if awaited is None or awaited.done():
            _close(listeners)
        else:
            awaited.set_result(listeners)

    def _on_gone(self, gone: control.Gone) -> None:
        if gone.number in self._awaited:
            self._on_stillborn(gone.number)
        if gone.cell == _NO_CELL:
            return
        child = self._children.pop(gone.number, None)
        if child is not None:
            child.ended(_exit_of(gone))
            if self._groups is not None:
                self._groups.rest_later()
        if child is None or child.used_network:
            if (listener := self._listeners.pop(gone.cell, None)) is not None:
                listener.close()
            self._orders.give(control.drop_cell(gone.cell))
        else:
            self._orders.give(control.keep_cell(gone.cell))

    def _on_stillborn(self, number: int) -> None:
        awaited, group = self._awaited.pop(number)
        if group is not None:
            group.drop()
        if not awaited.done():
            awaited.set_exception(SandboxUnavailableError(f"A child could not build its walls: {self._last_words()}"))

    def _fail_start(self, reason: str) -> None:
        if not self._started.done():
            said = self._last_words()
            self._started.set_exception(SandboxUnavailableError(f"The zygote did not start: {reason}. It said: {said}"))

    def _ended(self) -> SandboxUnavailableError:
        said = "" if self._log.closed else f". It said: {self._last_words()}"
        return SandboxUnavailableError(f"The zygote has ended{said}")

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _LAST_BYTES))
        return self._log.read().decode(errors="replace").strip() or "nothing"

    def _close(self) -> None:
        if self.closed.is_set():
            return
        self.closed.set()
        self._orders.close()
        self._loop.remove_reader(self._channel.fileno())
        spawning = [awaited for awaited, _ in self._awaited.values()]
        for group in (group for _, group in self._awaited.values() if group is not None):
            group.drop()
        everything: list[asyncio.Future[Any]] = [*spawning, *self._listening.values()]
        for awaited in everything:
            if not awaited.done():
                awaited.set_exception(self._ended())
        for child in self._children.values():
            child.lost()
        for listener in self._listeners.values():
            listener.close()


def _close(listeners: Sequence[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


# What the zygote says where it could not even make a network.
_NO_CELL = 0
# Its channel and its pidfd.
_OF_A_CHILD = 2
_READY_SIZE = len(b'\0\0\0\t\x10{"pid":1}')


def _exit_of(gone: control.Gone) -> Exit:
    by_signal = os.WIFSIGNALED(gone.status)
    return Exit(
        code=None if by_signal else os.WEXITSTATUS(gone.status),
        signal=os.WTERMSIG(gone.status) if by_signal else None,
        cpu_s=gone.cpu_s,
        max_rss_mib=gone.max_rss_mib,
        faults=gone.faults,
    )
