"""A run is over once its journal is archived, whoever began it and whatever is away for a while."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from flowray.engine.events import Event, Log, Recorded, RunAccepted, RunFinished, RunId
from flowray.errors import StoreUnavailableError
from flowray.flow.types import NodeId
from flowray.stores.archive import Archive
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.recording_journal import RecordingJournal

RUN = RunId("run-1")
ACCEPTED = RunAccepted(tenant="t", flow="f", flow_name="F", version="v", session="s")
OVER = RunFinished(status="succeeded")


def told(*events: Event) -> list[Recorded]:
    return [Recorded(seq=seq, at=1.0, run=RUN, event=event) for seq, event in enumerate(events, 1)]


WHOLE = told(ACCEPTED, Log(node=NodeId("a"), text="x"), OVER)


class AwayOnce(Archive):
    """An archive whose store is away at the first try."""

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__(objects)
        self.is_away = True

    async def keep(self, tenant: str, run: RunId, lines: Iterable[bytes]) -> None:
        if self.is_away:
            self.is_away = False
            raise StoreUnavailableError("away")
        await super().keep(tenant, run, lines)


async def test_the_end_of_a_run_is_on_record_when_its_append_returns() -> None:
    archive = Archive(open_objects("memory:"))
    journal = RecordingJournal(MemoryJournal(), archive)

    await journal.append("t", WHOLE[:2])
    assert await archive.find("t", RUN) is None
    await journal.append("t", WHOLE[2:])

    assert await archive.find("t", RUN) == WHOLE


async def test_a_run_that_another_one_began_is_on_record_whole() -> None:
    archive, kept = Archive(open_objects("memory:")), MemoryJournal()
    await kept.append("t", WHOLE[:2])

    await RecordingJournal(kept, archive).append("t", WHOLE[2:])

    assert await archive.find("t", RUN) == WHOLE


async def test_an_end_that_could_not_be_recorded_is_recorded_when_it_is_told_again() -> None:
    archive = AwayOnce(open_objects("memory:"))
    journal = RecordingJournal(MemoryJournal(), archive)

    with pytest.raises(StoreUnavailableError):
        await journal.append("t", WHOLE)
    await journal.append("t", WHOLE)

    assert await archive.find("t", RUN) == WHOLE
