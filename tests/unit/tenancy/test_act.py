"""The chain of acts: whole as it is written, and telling when anybody has been at it."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from flowray.tenancy.act import Act, ChainEnd, end_of, faults, linked

COUNT = 6


def act(number: int) -> Act:
    return Act(at=float(number), tenant="acme", who="acme/ada", key="k1", action="keys", route="POST /x", status=200)


def chain() -> tuple[list[bytes], ChainEnd]:
    first, end = linked([act(1), act(2)], ChainEnd())
    rest, end = linked([act(number) for number in range(3, COUNT + 1)], end)
    return [*first, *rest], end


def test_a_chain_written_in_pieces_is_whole() -> None:
    lines, end = chain()
    assert faults(lines, end=end) == []
    assert end_of(lines[-1]) == end == ChainEnd(COUNT, end.hash)


def changed(line: bytes, **fields: object) -> bytes:
    return orjson.dumps({**orjson.loads(line), **fields})


TAMPERINGS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a field": (lambda lines: [*lines[:2], changed(lines[2], who="acme/eve"), *lines[3:]], "Record 3 was changed"),
    "its hash too": (lambda lines: [*lines[:2], forged(lines[2]), *lines[3:]], "Record 4 does not follow record 3"),
    "one gone": (lambda lines: [*lines[:2], *lines[3:]], "Record 3 is missing"),
    "the first gone": (lambda lines: lines[1:], "Record 1 is missing"),
    "some gone": (lambda lines: [lines[0], *lines[4:]], "Record 2 to 4 is missing"),
    "the end gone": (lambda lines: lines[:-1], f"ends at record {COUNT - 1}"),
    "all gone": (lambda _: [], "ends at record 0"),
    "two changed places": (lambda lines: [lines[1], lines[0], *lines[2:]], "Record 1 is out of order"),
    "one twice": (lambda lines: [*lines, lines[2]], "Record 3 is out of order"),
    "no JSON": (lambda lines: [*lines[:2], b"{", *lines[3:]], "Record 0 was changed"),
    "another chain": (lambda _: list(linked([act(n) for n in range(11, 11 + COUNT)], ChainEnd())[0]), "mark"),
}


def forged(line: bytes) -> bytes:
    record = orjson.loads(line)
    (made,), _ = linked([act(99)], ChainEnd(record["n"] - 1, record["before"]))
    return made


@pytest.mark.parametrize("what", TAMPERINGS)
def test_who_was_at_a_chain_is_found_out_and_where(what: str) -> None:
    lines, end = chain()
    tamper, said = TAMPERINGS[what]
    found = faults(tamper(lines), end=end)
    assert any(said in fault for fault in found), found


def test_a_mark_that_was_made_before_the_last_records_came_still_holds() -> None:
    lines, _ = chain()
    assert faults(lines, end=end_of(lines[3])) == []
