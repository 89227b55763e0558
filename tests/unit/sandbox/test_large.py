from __future__ import annotations

import orjson
import pytest

from flowray_sandbox import large

TEXT = '"\\\t\x01é😀' * 300_000


def test_a_large_text_is_written_as_any_other() -> None:
    assert orjson.loads(orjson.dumps([large.quoted(TEXT)])) == [TEXT]


def test_lone_surrogates_are_replaced() -> None:
    assert orjson.dumps(large.quoted("a\ud800")) == b'"a?"'


def test_only_large_texts_are_written_and_each_once() -> None:
    known: dict[str, orjson.Fragment] = {}

    written = large.written({"a": [TEXT, 1], "b": (TEXT, "small")}, known)

    assert list(known) == [TEXT]
    assert orjson.loads(orjson.dumps(written)) == {"a": [TEXT, 1], "b": [TEXT, "small"]}


def test_what_there_is_no_room_for_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        large.room_for(1 << 60)
