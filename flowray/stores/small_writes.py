"""Small objects written to a folder, as many as wait for it in one go of one thread.

obstore hands each write to a thread of its own. In a folder that takes four times as much processor time as the write,
and threads that write at the same time wait for each other at the folder's lock.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Sequence
from typing import Final

import obstore
from obstore.store import LocalStore

SMALL_BYTES: Final = 64 << 10


class SmallWrites:
    """Writes what is put here in the order in which it came."""

    def __init__(self, folder: LocalStore) -> None:
        self._folder = folder
        self._waiting: list[tuple[str, bytes, Future[None]]] = []
        self._writer: Task[None] | None = None

    async def put(self, key: str, data: bytes) -> None:
        """Write; raises what obstore raises."""
        written: Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, data, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await written

    async def _write_all(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            failures = await asyncio.to_thread(self._write, [(key, data) for key, data, _ in some])
            for (_, _, written), failure in zip(some, failures, strict=True):
                if written.done():  # whoever asked has left
                    continue
                if failure is None:
                    written.set_result(None)
                else:
                    written.set_exception(failure)

    def _write(self, some: Sequence[tuple[str, bytes]]) -> Sequence[Exception | None]:
        return [self._failure(key, data) for key, data in some]

    def _failure(self, key: str, data: bytes) -> Exception | None:
        try:
            obstore.put(self._folder, key, data)
        except Exception as failure:  # noqa: BLE001 - told to whoever asked for this very write
            return failure
        return None
