"""An event loop that opens nothing until it has to wait: a small run ends before, and the zygote can hold one ready.

Opening its selector and the pipe that threads wake it by would take a fifth as long as the whole of a small run. Made
before the fork, a loop that had opened them would share them with all children.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any


class LateLoop(asyncio.SelectorEventLoop):
    """Like asyncio's own, but its descriptors are made at the first wait, then `on_first_wait` is called."""

    def __init__(self) -> None:
        self._waits = False
        self.on_first_wait: Callable[[], None] = _nothing
        super().__init__(_LateSelector(self._open))

    def _open(self) -> None:
        """Make the pipe that other threads wake the loop by, and let others add what they wait for."""
        self._waits = True
        super()._make_self_pipe()  # type: ignore[misc]  # asyncio's own
        self.on_first_wait()

    def _make_self_pipe(self) -> None:
        """Nothing yet. Threads that want to wake the loop find none and leave it: it is not waiting."""
        self._ssock = self._csock = None

    def _close_self_pipe(self) -> None:
        if self._waits:
            super()._close_self_pipe()  # type: ignore[misc]  # asyncio's own


class _LateSelector(selectors.BaseSelector):
    """Asks the kernel nothing as long as there is something else to do."""

    def __init__(self, on_open: Callable[[], None]) -> None:
        self._on_open = on_open
        self._real: selectors.BaseSelector | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        """What is ready. The first real wait is not one: what threads did until now has to be looked at first."""
        if self._real is not None:
            return self._real.select(timeout)
        if timeout is None or timeout > 0:
            self._opened()
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a descriptor."""
        return self._opened().register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch it no longer."""
        return self._opened().unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch it for something else."""
        return self._opened().modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey] | None:  # type: ignore[override]  # None when closed
        """What is watched."""
        return self._opened().get_map()

    def close(self) -> None:
        """Give up what was opened."""
        if self._real is not None:
            self._real.close()

    def _opened(self) -> selectors.BaseSelector:
        if self._real is None:
            self._real = selectors.DefaultSelector()
            self._on_open()
        return self._real


def _nothing() -> None:
    return
