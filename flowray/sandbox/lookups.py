"""Lookups of names, on threads of the gate's own.

A name whose servers do not answer holds a thread for many seconds, whoever has stopped to wait for it. Of the threads
that everybody on an event loop shares, uvloop gives two to lookups, and asyncio's also make control groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

# Of one step; its next one waits until one of these is done.
_AT_ONCE = 3
# Enough for as many steps as a Runner usually has at work, and for what ended ones have left hanging.
_THREADS = 64


def lookup_threads() -> ThreadPoolExecutor:
    """Return threads for the lookups of any number of steps; they are made as they are needed."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="lookup")


class Lookups:
    """Those of one step."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host."""
        await self._free.acquire()
        lookup = self._threads.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        lookup.add_done_callback(self._on_done)
        found = await asyncio.wrap_future(lookup)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def _on_done(self, _: Future[Any]) -> None:
        """Called when the thread is done, or was never needed: that nobody waits any more frees none."""
        with contextlib.suppress(RuntimeError):  # the loop may be gone by then
            self._loop.call_soon_threadsafe(self._free.release)
