"""Recorded HTTP answers: taken from the sandboxes of a run that is recorded, given to those of one that is replayed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowray.engine.events import RunId
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, InvalidRequestError
from flowray.runner.asking import Answer, Ask
from flowray.stores.tapes import Tapes

_KEY = re.compile(r"[0-9a-f]{64}\Z")
_MOST_TURNS = 100_000


class NotRecordedError(FlowRayError):
    """The replayed run asks something that the recorded one did not."""

    code = "not_recorded"
    fault = "flow"
    status = 409


class TapeDesk:
    """Keeps and gives recordings; only a run that is recorded writes, only one that is replayed reads."""

    def __init__(self, tapes: Tapes) -> None:
        self._tapes = tapes

    async def note(self, request: RunRequest, told: Sequence[Ask]) -> None:
        """Keep what was heard."""
        if not request.record:
            return
        for ask in told:
            said = {"status": ask.details.get("status"), "headers": ask.details.get("headers")}
            await self._tapes.keep(request.tenant, request.run, _name(ask), said, ask.blob or b"")

    async def find(self, request: RunRequest, ask: Ask) -> Answer:
        """Give what was heard then."""
        found = None
        if request.tape:
            found = await self._tapes.find(request.tenant, RunId(request.tape), _name(ask))
        if found is None:
            asked = str(ask.details.get("asked"))[:300]
            raise NotRecordedError(f"No recorded answer to `{asked}`: the recorded run did not ask this here.")
        said, content = found
        return Answer(value=said, blob=content)


def _name(ask: Ask) -> str:
    key, turn = ask.details.get("key"), ask.details.get("turn")
    if not (type(key) is str and _KEY.match(key) and type(turn) is int and 0 < turn < _MOST_TURNS):
        raise InvalidRequestError("A recording is named by a digest and a turn.")
    return f"{key}-{turn}"
