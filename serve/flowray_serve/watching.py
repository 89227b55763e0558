"""Keeps up what Ray does not look after, while the service is being started and for as long as it runs.

It watches from a thread of its own: who waits for a cluster whose raylet has died waits for ever. What it starts again
is on that thread's leash, see `flowray_serve.cluster.leash`, so the thread has to outlive the watch.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flowray.errors import FlowRayError
from flowray_serve.cluster.head import GCS, RayError

_EVERY_S = 1.0
# How long the main thread has to notice that it waits in vain. Whoever stands over this process begins anew.
_NOTICES_WITHIN_S = 20.0
# A control store that dies as soon as it is up is in need of something, such as room on the disk.
_MOST_DEATHS, _STEADY_LOOKS = 10, 10
_LOST = signal.SIGUSR1
_EXIT_CODE = 1
_MIB = 1024 * 1024


class WatchError(FlowRayError):
    """What has died here could not be started again."""

    code = "watch_failed"
    status = 503


class Daemons(Protocol):
    """Ray's own processes, see `flowray_serve.cluster.head`."""

    def dead(self) -> list[str]:
        """The names of those that have died."""

    def revive_gcs(self) -> None:
        """Start the control store again."""


class Store(Protocol):
    """A Valkey of our own."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    def start(self) -> object:
        """Start it, with what it had."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What is watched. `ray_logs` is where a reader finds out more."""

    daemons: Daemons
    valkey: Store | None
    ray_logs: Path


@contextmanager
def watching(
    watched: Watched,
    *,
    thread: Executor,
    progress: Callable[[str], None],
    every_s: float = _EVERY_S,
    notices_within_s: float = _NOTICES_WITHIN_S,
) -> Generator[Callable[[], None], None, None]:
    """Watch until this is left, in the main thread; what it yields waits for the loss of what cannot be kept up.

    That raises, wherever the main thread is: a `FlowRayError` that says what was lost. `thread`, where it watches from,
    is left only after what it has started again was stopped: the kernel ends that together with the thread.
    """
    watch = _Watch(watched, progress, every_s=every_s, notices_within_s=notices_within_s)
    before = signal.signal(_LOST, watch.tell)
    try:
        thread.submit(watch.work)
        yield watch.wait
    finally:
        watch.over.set()
        thread.submit(watch.over.wait).result()  # its turn comes after the last look
        signal.signal(_LOST, before)


class _Watch:
    def __init__(
        self, watched: Watched, progress: Callable[[str], None], *, every_s: float, notices_within_s: float
    ) -> None:
        self.over = threading.Event()
        self._watched = watched
        self._progress = progress
        self._every_s = every_s
        self._notices_within_s = notices_within_s
        self._loss: FlowRayError | None = None
        self._deaths = 0
        self._looks_since = 0

    def work(self) -> None:
        while not self.over.wait(self._every_s):
            try:
                self._look()
            except Exception as cause:  # noqa: BLE001 - from this thread nobody would hear of it
                self._give_up(_loss_by(cause))
                return

    def wait(self) -> None:
        while True:  # a wait without an end would not hear signals everywhere
            self.over.wait(self._every_s)
            self._raise()

    def tell(self, _number: int, _frame: Any) -> None:
        self._raise()

    def _raise(self) -> None:
        if self._loss is not None:
            raise self._loss

    def _look(self) -> None:
        valkey, daemons = self._watched.valkey, self._watched.daemons
        if valkey is not None and not valkey.alive:
            self._progress("Valkey has died; starting it again")
            valkey.start()
        dead = daemons.dead()
        if dead == [GCS]:
            self._count_death()
            self._progress("Ray's control store has died; starting it again")
            daemons.revive_gcs()
        elif dead:
            raise RayError(f"Ray's {', '.join(dead)} died. Its logs are in {self._watched.ray_logs}.")
        else:
            self._looks_since += 1

    def _count_death(self) -> None:
        """Raise `RayError` when the control store has died too often without a steady while in between."""
        self._deaths = 1 if self._looks_since >= _STEADY_LOOKS else self._deaths + 1
        self._looks_since = 0
        if self._deaths > _MOST_DEATHS:
            logs = self._watched.ray_logs
            raise RayError(
                f"Ray's control store died {self._deaths} times in a row. Its logs are in {logs}, {_room_at(logs)}."
            )

    def _give_up(self, loss: FlowRayError) -> None:
        self._loss = loss
        os.kill(os.getpid(), _LOST)
        if not self.over.wait(self._notices_within_s):
            try:
                self._progress(f"{loss.message} Nothing else goes on here; this process ends")
                sys.stdout.flush()
                sys.stderr.flush()
            finally:  # whether or not it can be said
                os._exit(_EXIT_CODE)


def _room_at(folder: Path) -> str:
    try:
        return f"on a disk with {shutil.disk_usage(folder).free // _MIB} MiB free"
    except OSError as cause:
        return f"of whose disk nothing is known: {cause.strerror}"


def _loss_by(cause: Exception) -> FlowRayError:
    if isinstance(cause, FlowRayError):
        return cause
    loss = WatchError(f"What has died here could not be started again: {type(cause).__name__}: {cause}.")
    loss.__cause__ = cause
    return loss
