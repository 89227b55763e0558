"""What is remembered of records holds until somebody tells of a change, and only as long as news get through."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
Listener = Callable[[str | None], None]


class News(Protocol):
    """Tells every replica what has changed: a `kind` of record, and the `name` of one."""

    @property
    def is_current(self) -> bool:
        """Whether news of the last second would have been heard."""

    def listen(self, kind: str, listener: Listener) -> None:
        """Have `listener` called with the name of each changed record, or with None when any may have changed."""

    async def tell(self, kind: str, name: str) -> None:
        """Say that a record has changed, here at once and elsewhere as fast as it travels."""


class MemoryNews:
    """News of a process that has the records for itself."""

    def __init__(self) -> None:
        self.is_current = True
        self._listeners: defaultdict[str, list[Listener]] = defaultdict(list)

    def listen(self, kind: str, listener: Listener) -> None:
        """See `News`."""
        self._listeners[kind].append(listener)

    async def tell(self, kind: str, name: str) -> None:
        """See `News`."""
        for listener in self._listeners[kind]:
            listener(name)


class Remembered(Generic[T]):
    """Records of one kind, each read once until news of it come. What is not there is not remembered.

    `keep_s` bounds how long a change is missed whose writer died before telling of it.
    """

    def __init__(
        self,
        kind: str,
        read: Callable[[str], Awaitable[T | None]],
        news: News,
        *,
        keep_s: float = 60.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._news = news
        self._keep_s = keep_s
        self._capacity = capacity
        self._clock = clock
        self._known: OrderedDict[str, tuple[T, float]] = OrderedDict()
        self._one_reader: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._forgotten = 0
        news.listen(kind, self._forget)

    async def of(self, name: str) -> T | None:
        """The record as it is now, or was less than a second ago."""
        found = self._found(name)
        if found is not None:
            return found
        lock = self._one_reader[name]
        try:
            async with lock:
                found = self._found(name)
                return await self._renewed(name) if found is None else found
        finally:
            if not lock.locked():
                self._one_reader.pop(name, None)

    def _found(self, name: str) -> T | None:
        known = self._known.get(name)
        if known is None or known[1] <= self._clock() or not self._news.is_current:
            return None
        return known[0]

    async def _renewed(self, name: str) -> T | None:
        before = self._forgotten
        record = await self._read(name)
        # News that came while it was read may be of what was not read yet.
        if record is not None and before == self._forgotten:
            self._known[name] = (record, self._clock() + self._keep_s)
            self._known.move_to_end(name)
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return record

    def _forget(self, name: str | None) -> None:
        self._forgotten += 1
        if name is None:
            self._known.clear()
        else:
            self._known.pop(name, None)
