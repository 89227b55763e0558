"""Recordings: who may write them, who may read them, and that nobody else can."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError
from flowray.runner.asking import Ask
from flowray.runner.tape_desk import NotRecordedError, TapeDesk
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.sealing import SecretSeal
from flowray.stores.tapes import Tapes
from tests.unit.runner.steps import request_of

PLACE: dict[str, Any] = {"key": "a" * 64, "turn": 1, "asked": "GET https://api.example.org/"}
HEARD = Ask(what="tape", details={**PLACE, "status": 200, "headers": {"x": "y"}}, blob=b"the answer")
ASKED = Ask(what="tape.find", details=PLACE)


def desk(objects: ObjectStore) -> TapeDesk:
    return TapeDesk(Tapes(objects, SecretSeal(b"secret")))


def recorded(**facts: Any) -> RunRequest:
    return request_of(record=True, **facts)


def replayed(**facts: Any) -> RunRequest:
    return request_of(tape="r1", **facts)


async def test_a_replayed_run_hears_what_the_recorded_one_heard() -> None:
    taped = desk(open_objects("memory:"))
    await taped.note(recorded(), [HEARD])
    answer = await taped.find(replayed(), ASKED)
    assert (answer.value, answer.blob) == ({"status": 200, "headers": {"x": "y"}}, b"the answer")


async def test_what_was_not_asked_then_is_said_to_be_missing() -> None:
    taped = desk(open_objects("memory:"))
    await taped.note(recorded(), [HEARD])
    with pytest.raises(NotRecordedError, match=r"GET https://api\.example\.org/"):
        await taped.find(replayed(), Ask(what="tape.find", details={**PLACE, "turn": 2}))


async def test_a_run_that_is_not_recorded_writes_nothing_and_one_that_is_not_replayed_reads_nothing() -> None:
    taped = desk(open_objects("memory:"))
    await taped.note(request_of(), [HEARD])
    with pytest.raises(NotRecordedError):
        await taped.find(replayed(), ASKED)
    await taped.note(recorded(), [HEARD])
    with pytest.raises(NotRecordedError):
        await taped.find(request_of(), ASKED)


async def test_recordings_are_sealed_where_they_are_kept() -> None:
    objects = open_objects("memory:")
    await desk(objects).note(recorded(), [HEARD])
    kept = await objects.get(f"tenants/acme/tapes/r1/{'a' * 64}-1")
    assert b"the answer" not in kept


@pytest.mark.parametrize("place", [{"key": "../x"}, {"turn": 0}, {"turn": "1"}, {"key": None}])
async def test_a_recording_has_no_other_name(place: dict[str, Any]) -> None:
    taped = desk(open_objects("memory:"))
    with pytest.raises(InvalidRequestError):
        await taped.note(recorded(), [Ask(what="tape", details={**HEARD.details, **place}, blob=b"")])
