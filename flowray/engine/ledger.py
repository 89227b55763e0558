"""What happens in one run, numbered and written to the journal: at once, behind the run, or at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from flowray.engine.events import Event, Recorded, RunId
from flowray.engine.fencing import JournalGapError
from flowray.engine.lately import Lately
from flowray.engine.ports import Journal
from flowray.errors import ConflictError, FlowRayError

log = logging.getLogger(__name__)

Durability = Literal["strict", "pipelined", "relaxed"]
"""How far the journal may lag behind a run.

strict     an event is written before anything follows from it: nothing that has an effect is ever forgotten.
pipelined  events are written in order, some milliseconds behind; the run's end is written before its answer goes out.
           Where only its own caller waits for a run, what follows its beginning may be a tenth of a second behind.
relaxed    all events are written at the end in one go; a crash forgets the run, and a journal that cannot be
           reached does not fail it.
"""

LINGER_S = 0.02
# Of a run whose caller is answered by the engine itself: somebody else may read along, and hardly anybody does.
UNHURRIED_S = 0.1
# A run of a hundred thousand tokens should not be kept in memory, however relaxed its journal.
_MOST_UNWRITTEN = 2_000
# So many of the events that a store has lost are written again at once: others want something of it, too.
_EVENTS_AT_ONCE = 2_000


class Ledger:
    """Numbers the events of one run. `past` are those there were before; writing may lag `linger_s` behind.

    Of a run that is `announced`, somebody hears while it goes on, and may ask another gateway about it at once: that it
    has begun is written first.
    """

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        journal: Journal,
        *,
        tenant: str,
        run: RunId,
        durability: Durability,
        clock: Callable[[], float],
        past: Sequence[Recorded] = (),
        linger_s: float = LINGER_S,
        announced: bool = False,
    ) -> None:
        self._journal = journal
        self._tenant = tenant
        self._run = run
        self._durability = durability
        self._clock = clock
        self._linger_s = linger_s
        self._announced = announced
        self._seq = past[-1].seq if past else 0
        self._unwritten: list[Recorded] = []
        self._written_lately = Lately(past)
        self._writing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._soon: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._clock()

    def note(self, event: Event) -> Recorded:
        """Number an event; `settle` sees to it that it is written."""
        self._seq += 1
        recorded = Recorded(seq=self._seq, at=self._clock(), run=self._run, event=event)
        self._unwritten.append(recorded)
        return recorded

    async def settle(self, *, written: bool = False) -> None:
        """Return when what was noted is as safe as the run's durability asks for, or `written` in any case."""
        if written or self._durability == "strict" or self._must_begin():
            await self._written()
        elif self._durability == "pipelined" or len(self._unwritten) > _MOST_UNWRITTEN:
            self._write_soon()

    def _must_begin(self) -> bool:
        return self._announced and self._durability == "pipelined" and not self._written_lately

    async def close(self) -> None:
        """Write what is left."""
        try:
            await self._written()
        except FlowRayError as error:
            if self._durability != "relaxed":
                raise
            facts = {"tenant": self._tenant, "run": self._run, "reason": error.message}
            log.warning("Run not recorded", extra={"action": "run_not_recorded", **facts})

    async def write_again(self) -> None:
        """Write what the store has lost of what was written; what it has shows by whether it takes the last event."""
        try:
            async with self._one_at_a_time:
                if self._written_lately:
                    await self._append_or_refill([self._written_lately.last])
        except FlowRayError as error:
            if isinstance(error, ConflictError) and not isinstance(error, JournalGapError):
                return  # all of it is there, or it is another's to write
            facts = {"tenant": self._tenant, "run": self._run, "reason": error.message}
            log.warning("Lost events not written again yet", extra={"action": "journal_not_refilled", **facts})

    def _write_soon(self) -> None:
        if self._writing is not None and self._writing.done():
            done, self._writing = self._writing, None
            done.result()  # raises what went wrong behind the run
        if self._writing is None and self._soon is None:
            # That a run has begun is written soon: what is on record is looked after if its engine dies.
            linger_s = self._linger_s if self._written_lately else LINGER_S
            self._soon = asyncio.get_running_loop().call_later(linger_s, self._write)

    def _write(self) -> asyncio.Task[None]:
        """Begin to write, where nobody does: two at once would take the same events, and remember them twice."""
        self._soon = None
        self._writing = asyncio.create_task(self._append(), name=f"journal of run {self._run}")
        return self._writing

    async def _written(self) -> None:
        """Wait until nothing is unwritten. A write is never cancelled: nobody could say whether it was done."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        while self._writing is not None or self._unwritten:
            writing = self._writing or self._write()
            try:
                await asyncio.shield(writing)
            finally:
                if writing.done() and self._writing is writing:
                    self._writing = None

    async def _append(self) -> None:
        while self._unwritten:
            async with self._one_at_a_time:
                batch = tuple(self._unwritten)
                await self._append_or_refill(batch)
                del self._unwritten[: len(batch)]
                self._written_lately.add(batch)

    async def _append_or_refill(self, batch: Sequence[Recorded]) -> None:
        try:
            await self._journal.append(self._tenant, batch)
        except JournalGapError as gap:
            lost = [one for one in self._written_lately.after(gap.last) if one.seq < batch[0].seq]
            if not lost:
                raise
            facts = {"tenant": self._tenant, "run": self._run, "events": len(lost)}
            log.warning("Lost events written again", extra={"action": "journal_refilled", **facts})
            for first in range(0, len(lost), _EVENTS_AT_ONCE):
                await self._journal.append(self._tenant, lost[first : first + _EVENTS_AT_ONCE])
            await self._journal.append(self._tenant, batch)
