"""Nothing grows for ever: what is older than its tenant keeps it is removed from the record and from the lists."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flowray.errors import FlowRayError, InvalidRequestError, StoreUnavailableError
from flowray.stores.archive import run_of
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.requests import Requests
from flowray_serve.queueing.turn import Turn

log = logging.getLogger(__name__)

_DAY_S, _HOUR_S = 86_400.0, 3_600.0
_OF_RUNS = ("journals", "requests", "dead", "callbacks", "notices")
_OF_ENDED_RUNS = ("values", "paused", "tapes")


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long a tenant's finished runs are kept (journal, request, results), and how long idempotency keys hold.

    `chats_days` is how long chats are that nobody speaks in; None is for ever.
    """

    runs_days: float = 30.0
    idempotency_h: float = 24.0
    chats_days: float | None = None

    def settled(self, retention: Mapping[str, Any]) -> Retention:
        """These, with what a tenant has settled instead; what is no number above zero is not heeded."""
        known = {name: float(value) for name, value in retention.items() if _is_amount(value)}
        return Retention(
            runs_days=known.get("runs_days", self.runs_days),
            idempotency_h=known.get("idempotency_h", self.idempotency_h),
            chats_days=known.get("chats_days", self.chats_days),
        )


class RunList(Protocol):
    """The list of a tenant's runs."""

    async def forget(self, tenant: str, *, before: float) -> None:
        """List no longer what was accepted before a time."""


class KeptChats(Protocol):
    """The chats of all tenants; see `flowray.stores.chats.Chats`."""

    async def remove_silent(self, tenant: str, *, before: float) -> int:
        """Forget the chats that nobody has spoken in since a time; how many messages that was."""


RetentionOf = Callable[[str], Awaitable[Retention]]


class Sweeper:
    """Removes what is too old, tenant by tenant."""

    def __init__(
        self,
        objects: ObjectStore,
        requests: Requests,
        runs: RunList,
        chats: KeptChats,
        retention_of: RetentionOf,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects = objects
        self._requests = requests
        self._runs = runs
        self._chats = chats
        self._retention_of = retention_of
        self._clock = clock

    async def work(self, turn: Turn, *, name: str, every_s: float = _HOUR_S) -> None:
        """Sweep when it is this one's turn, until cancelled."""
        while True:
            try:
                if await turn.mine("sweep", by=name, for_s=int(every_s)):
                    removed = await self.sweep()
                    log.info("Swept", extra={"action": "swept", "removed": removed})
            except FlowRayError as error:
                log.warning("Not swept", extra={"action": "sweep_failed", "reason": error.message})
            await asyncio.sleep(every_s / 4)

    async def sweep(self) -> int:
        """Sweep once; how many objects and messages were removed. What is damaged at one tenant's stops no other's."""
        removed = 0
        async for tenant in self._objects.folders("tenants"):
            try:
                removed += await self._sweep(tenant)
            except InvalidRequestError:
                continue  # a folder that is no tenant's
            except StoreUnavailableError:
                raise
            except FlowRayError as error:
                facts = {"tenant": tenant, "reason": error.message}
                log.warning("A tenant not swept", extra={"action": "tenant_not_swept", **facts})
        return removed

    async def _sweep(self, tenant: str) -> int:
        kept = await self._retention_of(tenant)
        now = self._clock()
        old = now - kept.runs_days * _DAY_S
        # A key that outlived its run would stand for one that is open for ever: on record again, and known to be over.
        removed = await self._remove(path(tenant, "idempotency"), before=max(old, now - kept.idempotency_h * _HOUR_S))
        for folder in _OF_RUNS:
            removed += await self._remove(path(tenant, folder), before=old)
        removed += await self._remove_of_ended(tenant, before=old)
        # A drawing in use is written again now and then; a day more than its runs covers what lies between.
        in_use = await self._requests.drawings_in_use(tenant)
        await self._write_again(path(tenant, "drawings"), in_use, before=now - _DAY_S / 2)
        removed += await self._remove(path(tenant, "drawings"), before=old - _DAY_S, but=in_use)
        await self._runs.forget(tenant, before=old)
        if kept.chats_days is not None:
            removed += await self._chats.remove_silent(tenant, before=now - kept.chats_days * _DAY_S)
        return removed

    async def _remove_of_ended(self, tenant: str, *, before: float) -> int:
        """A run that is open, or was until lately, keeps its values, its journal as it waited, and what it heard."""
        still = {run async for owner, run, _ in self._requests.open() if owner == tenant}
        still.update([run_of(one.key) async for one in self._objects.list(path(tenant, "journals"))])
        gone = [
            one.key
            for folder in (path(tenant, name) for name in _OF_ENDED_RUNS)
            async for one in self._objects.list(folder)
            if one.modified.timestamp() < before and one.key.removeprefix(f"{folder}/").partition("/")[0] not in still
        ]
        for key in gone:
            await self._objects.delete(key)
        return len(gone)

    async def _write_again(self, folder: str, keys: frozenset[str], *, before: float) -> None:
        """Have what is in use count as new: a run that was paused for long is kept from its end on, as any other."""
        old = [one.key async for one in self._objects.list(folder) if one.modified.timestamp() < before]
        for key in keys.intersection(old):
            await self._objects.put(key, await self._objects.get(key))

    async def _remove(self, folder: str, *, before: float, but: frozenset[str] = frozenset()) -> int:
        gone = [
            one.key
            async for one in self._objects.list(folder)
            if one.modified.timestamp() < before and one.key not in but
        ]
        for key in gone:
            await self._objects.delete(key)
        return len(gone)


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
