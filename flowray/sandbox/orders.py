"""The line of orders to a zygote: each goes out in its turn, as soon as the socket has room, and none is lost."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence

# How soon an order is sent again to a zygote that has as many of them as its socket holds.
_BUSY_S = 0.005


class Orders:
    """The orders to one zygote, from the loop that made this."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, Sequence[int]]] = deque()
        self._again: asyncio.TimerHandle | None = None

    def give(self, order: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send an order after those given before it; its descriptors stay open until it is answered."""
        self._waiting.append((order, descriptors))
        if self._again is None:
            self._send()

    def close(self) -> None:
        """Send nothing more: the zygote has ended, or shall."""
        self._waiting.clear()
        if self._again is not None:
            self._again.cancel()

    def _send(self) -> None:
        self._again = None
        try:
            while self._waiting:
                order, descriptors = self._waiting[0]
                socket.send_fds(self._channel, [order], descriptors)
                self._waiting.popleft()
        except ConnectionError:
            self._waiting.clear()  # whoever reads the channel finds its end
        except OSError:  # it is full, or the kernel has too many descriptors under way
            self._again = self._loop.call_later(_BUSY_S, self._send)
