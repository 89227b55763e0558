"""Driving dead letters again: the same request as a new run, or the same callback or notice once more."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flowray.engine.events import RunId
from flowray.errors import FlowRayError, NotFoundError
from flowray.stores.dead_letters import DeadLetter, DeadLetters
from flowray.stores.requests import Requests
from flowray_serve.queueing.acceptance import Acceptance, Idempotency
from flowray_serve.queueing.owing import Owing


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which dead letters: those of these ids, or all that fit; what is empty fits everything."""

    ids: Sequence[str] = ()
    what: str = ""
    kind: str = ""
    flow: str = ""
    before: float | None = None
    limit: int = 500

    def fits(self, letter: DeadLetter) -> bool:
        """Whether it is wanted."""
        return (
            (not self.ids or letter.id in self.ids)
            and self.what in ("", letter.what)
            and self.kind in ("", letter.kind)
            and self.flow in ("", letter.flow, letter.flow_name)
            and (self.before is None or letter.at < self.before)
        )


class Redriving:
    """Lists dead letters and drives them again."""

    def __init__(self, letters: DeadLetters, requests: Requests, acceptance: Acceptance, owing: Owing) -> None:
        self._letters = letters
        self._requests = requests
        self._acceptance = acceptance
        self._owing = owing

    async def list(self, tenant: str, wanted: Wanted) -> Sequence[DeadLetter]:
        """Those that are wanted, the newest first."""
        fitting = [letter for letter in await self._letters.list(tenant) if wanted.fits(letter)]
        return fitting[: wanted.limit]

    async def redrive(self, tenant: str, wanted: Wanted) -> Sequence[Mapping[str, str]]:
        """Drive the wanted ones again: each with the run that it has become, or why it could not."""
        letters = await self.list(tenant, wanted)
        found = {letter.id for letter in letters}
        unknown = [
            {"id": name, "error": "No dead letter that fits has this id."} for name in wanted.ids if name not in found
        ]
        return [*[await self._told(tenant, letter) for letter in letters], *unknown]

    async def remove(self, tenant: str, name: str) -> None:
        """Let one go; `NotFoundError` when there is none."""
        if await self._letters.find(tenant, name) is None:
            raise NotFoundError(f"There is no dead letter `{name[:80]}`.")
        await self._letters.remove(tenant, name)

    async def _told(self, tenant: str, letter: DeadLetter) -> Mapping[str, str]:
        """What came of one: those before it are under way, and those after it are none the worse for it."""
        try:
            return await self._redrive(tenant, letter)
        except FlowRayError as cause:
            return {"id": letter.id, "error": cause.message}

    async def _redrive(self, tenant: str, letter: DeadLetter) -> Mapping[str, str]:
        if letter.what == "notice":
            return await self._owe_again(tenant, letter)
        accepted = await self._requests.find(tenant, RunId(letter.run))
        if accepted is None:
            return {"id": letter.id, "error": "Its request is no longer kept."}
        if letter.what == "callback":
            return await self._owe_again(tenant, letter)
        again = replace(accepted.request, run=RunId(str(uuid.uuid4())))
        facts = {**accepted.facts, "redriven_from": letter.run}
        # Two may ask for it at once, and who dies before it is removed leaves it to be driven once more.
        once = Idempotency.of(f"dead letter {letter.id}", letter.id)
        became = (await self._acceptance.accept(again, facts, idempotency=once)).request.run
        await self._letters.remove(tenant, letter.id)
        return {"id": letter.id, "run": became}

    async def _owe_again(self, tenant: str, letter: DeadLetter) -> Mapping[str, str]:
        if not await self._owing.again(tenant, RunId(letter.run)):
            # Whoever is giving it up is about to forget that it is owed: without its letter it would be lost.
            return {"id": letter.id, "error": "It is still being tried. Try again in a moment."}
        await self._letters.remove(tenant, letter.id)
        return {"id": letter.id, "run": letter.run}
