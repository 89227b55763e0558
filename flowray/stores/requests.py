"""Accepted runs in the object store: there before anybody is told that they were accepted, sealed, never in the clear.

`accepted/` holds those that are not over, so that they can be found again when Redis has forgotten them; `requests/`
those that are over and archived. A drawing (a flow with its plan) is kept once for all runs that share it. `paused/`
holds the journals of runs that wait, or that begin with what another run had finished: no engine has them in hand, so
nobody else could write them anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

from flowray.engine.accepted import (
    Accepted,
    drawing_from_json,
    drawing_of,
    drawing_to_json,
    run_from_json,
    run_to_json,
)
from flowray.engine.events import Recorded, RunId
from flowray.engine.ports import RunRequest
from flowray.engine.typed import StoredFormatError
from flowray.errors import FlowFormatError, FlowRayError, NotFoundError
from flowray.flow.types import Flow
from flowray.plan.types import Plan
from flowray.stores.archive import lines_of, packed, unpacked
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path
from flowray.stores.sealing import Seal

# Drawings are written again while they are in use, so that age tells the ones that nobody needs.
_FRESH_S = 3_600.0
_ACCEPTED, _OVER, _DRAWINGS, _PAUSED = "accepted", "requests", "drawings", "paused"
_K = TypeVar("_K")
_V = TypeVar("_V")


class BrokenRequestError(FlowRayError):
    """The record has the run, and not as this version can read it."""

    code = "request_broken"


class Requests:
    """Keeps accepted runs. What it has drawn or read lately it remembers, up to `capacity` drawings."""

    def __init__(
        self, objects: ObjectStore, seal: Seal, *, capacity: int = 256, clock: Callable[[], float] = time.time
    ) -> None:
        self._objects = objects
        self._seal = seal
        self._capacity = capacity
        self._clock = clock
        self._named: OrderedDict[tuple[str, int, int], tuple[Flow, Plan, str, float]] = OrderedDict()
        self._drawn: OrderedDict[str, tuple[Flow, Plan]] = OrderedDict()

    async def keep(self, accepted: Accepted) -> None:
        """Keep a run that is accepted; once this returns, it is not lost."""
        request = accepted.request
        drawing = await self._draw(request)
        place = path(request.tenant, _ACCEPTED, request.run)
        await self._objects.put(place, self._seal.seal(run_to_json(accepted, drawing), place=_bound(place)))

    async def find(self, tenant: str, run: RunId) -> Accepted | None:
        """An accepted run, whether it is over or not; `BrokenRequestError` when nobody can read it."""
        if not is_segment(run):
            return None
        for folder in (_ACCEPTED, _OVER):
            place = path(tenant, folder, run)
            try:
                sealed = await self._objects.get(place)
            except NotFoundError:
                continue
            text = self._seal.open(sealed, place=_bound(place))
            return await self._read(run, text)
        return None

    async def close(self, tenant: str, run: RunId) -> None:
        """Say that a run is over and in the archive. It may be closed already, or never have been accepted.

        Written anew: what is over is kept from its end on, and a file that is moved stays as old as it was.
        """
        place = path(tenant, _ACCEPTED, run)
        try:
            sealed = await self._objects.get(place)
        except NotFoundError:
            return
        await self._objects.put(path(tenant, _OVER, run), sealed)
        await self._objects.delete(place)

    async def has(self, tenant: str, run: RunId) -> bool:
        """Whether an accepted run is on record, open or closed."""
        return await self._objects.exists(path(tenant, _ACCEPTED, run)) or await self.is_closed(tenant, run)

    async def is_closed(self, tenant: str, run: RunId) -> bool:
        """Whether an accepted run was closed, see `close`."""
        return await self._objects.exists(path(tenant, _OVER, run))

    async def drop_if_closed(self, tenant: str, run: RunId) -> None:
        """Forget what was kept anew of a run that is closed: it would be open once more."""
        if await self.is_closed(tenant, run):
            await self.drop(tenant, run)

    async def keep_journal(self, tenant: str, run: RunId, recorded: Sequence[Recorded]) -> None:
        """Keep the journal of a run that waits, as it stands."""
        place = path(tenant, _PAUSED, run)
        await self._objects.put(place, self._seal.seal(packed(lines_of(recorded)), place=place))

    async def journal(self, tenant: str, run: RunId) -> Sequence[Recorded]:
        """The journal of a run as it stood when it last waited; nothing when it never did."""
        place = path(tenant, _PAUSED, run)
        try:
            return unpacked(self._seal.open(await self._objects.get(place), place=place))
        except NotFoundError:
            return ()

    async def drop(self, tenant: str, run: RunId) -> None:
        """Forget a run that was not accepted after all."""
        await self._objects.delete(path(tenant, _ACCEPTED, run))

    async def open(self) -> AsyncGenerator[tuple[str, RunId, float], None]:
        """The runs that are not over, of all tenants, with when they were accepted."""
        async for tenant in self._objects.folders("tenants"):
            async for one in self._objects.list(path(tenant, _ACCEPTED)):
                yield tenant, RunId(one.key.rpartition("/")[2]), one.modified.timestamp()

    async def drawings_in_use(self, tenant: str) -> frozenset[str]:
        """The keys of the drawings that the tenant's open runs need."""
        names: set[str] = set()
        async for one in self._objects.list(path(tenant, _ACCEPTED)):
            try:
                text = self._seal.open(await self._objects.get(one.key), place=_bound(one.key))
            except NotFoundError:
                continue  # it was closed in this moment
            names.add(drawing_of(text))
        return frozenset(names)

    async def _draw(self, request: RunRequest) -> str:
        """The name of the request's drawing, after keeping it when that was not done lately."""
        key = (request.tenant, id(request.flow), id(request.plan))  # both are held, so no other object gets their ids
        known = self._named.get(key)
        now = self._clock()
        if known is not None and now - known[3] < _FRESH_S:
            self._named.move_to_end(key)
            return known[2]
        content = drawing_to_json(request.flow, request.plan)
        name = path(request.tenant, _DRAWINGS, hashlib.sha256(content).hexdigest())
        await self._objects.put(name, self._seal.seal(content, place=name))
        _remember(self._named, key, (request.flow, request.plan, name, now), self._capacity)
        return name

    async def _read(self, run: RunId, text: bytes) -> Accepted:
        try:
            return run_from_json(text, *await self._drawing(drawing_of(text)))
        except (StoredFormatError, FlowFormatError, NotFoundError) as cause:
            said = f"What run `{run}` was asked to do cannot be read from the record: {cause.message}"
            raise BrokenRequestError(f"{said} Ask for it again.") from cause

    async def _drawing(self, name: str) -> tuple[Flow, Plan]:
        """The same objects each time: who runs steps knows a flow by its identity."""
        drawn = self._drawn.get(name)
        if drawn is not None:
            self._drawn.move_to_end(name)
            return drawn
        drawn = drawing_from_json(self._seal.open(await self._objects.get(name), place=name))
        _remember(self._drawn, name, drawn, self._capacity)
        return drawn


def _bound(place: str) -> str:
    """What a run's seal is bound to: its tenant and id, but not the folder, since it moves when it is over."""
    _, tenant, _, run = place.split("/")
    return f"{tenant}/{run}"


def _remember(kept: OrderedDict[_K, _V], key: _K, value: _V, capacity: int) -> None:
    kept[key] = value
    if len(kept) > capacity:
        kept.popitem(last=False)
