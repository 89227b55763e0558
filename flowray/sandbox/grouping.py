"""The control groups that a zygote's children get: each made, or made ready again, as its child is ordered."""

from __future__ import annotations

import asyncio

from flowray.errors import SandboxUnavailableError
from flowray.sandbox.cgroups import Cgroups, Group
from flowray.sandbox.limits import Limits

# How long after the end of a child the control groups that nobody uses by then rest.
_REST_S = 2.0
_CLOSE_S = 5.0


class Grouping:
    """Gives out groups that hold a child to these limits."""

    def __init__(self, cgroups: Cgroups, limits: Limits) -> None:
        self._cgroups = cgroups
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._making: set[asyncio.Future[None]] = set()
        self._rest: asyncio.TimerHandle | None = None

    async def take(self) -> Group:
        """Return a group for one child; `SandboxUnavailableError` when there can be none."""
        group = self._cgroups.group()
        try:
            if group.is_made:
                group.renew(self._limits)
            else:
                await self._make(group)
        except OSError as cause:
            group.drop()
            raise SandboxUnavailableError(f"A child can have no control group: {cause}") from cause
        return group

    def rest_later(self) -> None:
        """A child has ended: groups that nobody uses may rest soon."""
        if self._rest is None:
            self._rest = self._loop.call_later(_REST_S, self._on_rest)

    async def close(self) -> None:
        """Remove all groups, also those that are still being made. Every child has ended."""
        if self._rest is not None:
            self._rest.cancel()
        if self._making:
            await asyncio.wait(self._making, timeout=_CLOSE_S)
        self._cgroups.close()

    async def _make(self, group: Group) -> None:
        making = self._loop.run_in_executor(None, group.make, self._limits)
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            # The thread goes on: what it makes and opens after a drop would stay.
            making.add_done_callback(lambda _: group.drop())
            raise

    def _on_rest(self) -> None:
        self._rest = None
        self._cgroups.rest()
