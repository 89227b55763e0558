from __future__ import annotations

import pytest

from flowray.errors import ChannelError
from flowray.runner import frames
from flowray.runner.frames import Caps, FrameDecoder, frame, parsed

SMALL = Caps(frame_bytes=1000, total_bytes=5000, frames=20, events=10, values=50, depth=8)


def test_a_huge_frame_is_refused_by_its_head_alone() -> None:
    with pytest.raises(ChannelError, match="4,294,967,280"):
        FrameDecoder().feed(bytes.fromhex("fffffff0") + bytes([frames.EVENT]))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ChannelError, match="unknown type 99"):
        FrameDecoder().feed(frame(99))


@pytest.mark.parametrize("last", [frames.RESULT, frames.ERROR])
def test_nothing_may_follow_the_result(last: int) -> None:
    with pytest.raises(ChannelError, match="after its result"):
        FrameDecoder().feed(frame(last, b"{}") + b"x")
    decoder = FrameDecoder()
    decoder.feed(frame(last, b"{}"))
    with pytest.raises(ChannelError, match="after its result"):
        decoder.feed(frame(frames.EVENT, b"{}"))


def test_too_many_events_are_refused() -> None:
    decoder = FrameDecoder(SMALL)
    decoder.feed(frame(frames.EVENT) * 10)
    with pytest.raises(ChannelError, match="more than 10 events"):
        decoder.feed(frame(frames.EVENT))


def test_too_many_frames_of_other_kinds_are_refused() -> None:
    with pytest.raises(ChannelError, match="more than 20 frames"):
        FrameDecoder(SMALL).feed(frame(frames.HEARTBEAT) * 21)


def test_too_many_bytes_are_refused() -> None:
    decoder = FrameDecoder(SMALL)
    decoder.feed(frame(frames.BLOB, bytes(900)) * 5)
    with pytest.raises(ChannelError, match="more than 5,000 bytes"):
        decoder.feed(frame(frames.BLOB, bytes(900)))


def test_the_parts_of_a_blob_arrive_as_one() -> None:
    sent = frame(frames.PART, b"ab") + frame(frames.PART, b"cd") + frame(frames.BLOB, b"e")
    assert FrameDecoder().feed(sent + frame(frames.BLOB, b"f")) == [(frames.BLOB, b"abcde"), (frames.BLOB, b"f")]


def test_the_parts_of_a_blob_stand_together() -> None:
    with pytest.raises(ChannelError, match="between the parts"):
        FrameDecoder().feed(frame(frames.PART, b"ab") + frame(frames.HEARTBEAT))


def test_a_large_event_arrives_as_one() -> None:
    sent = frame(frames.PART, b'{"kind":') + frame(frames.EVENT, b'"log"}')
    assert FrameDecoder().feed(sent) == [(frames.EVENT, b'{"kind":"log"}')]


def test_parts_without_end_are_refused() -> None:
    decoder = FrameDecoder(Caps(payload_bytes=2000))
    decoder.feed(frame(frames.PART, bytes(1000)) * 2)
    with pytest.raises(ChannelError, match="more than 2,000 bytes"):
        decoder.feed(frame(frames.PART, b"x"))


@pytest.mark.parametrize("size", [0, 1, 7 << 20, (7 << 20) + 1, 15 << 20])
def test_what_is_large_is_cut_into_frames_that_the_sandbox_reads(size: int) -> None:
    content = bytes(size)
    heads = list(frames.parted(frames.BLOB_DOWN, content))
    assert all(len(one) <= 5 + (8 << 20) for one in heads)
    assert [one[4] for one in heads] == [frames.PART_DOWN] * (len(heads) - 1) + [frames.BLOB_DOWN]
    assert b"".join(one[5:] for one in heads) == content


@pytest.mark.parametrize(
    "payload", [b"NaN", b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b"[]", b"{", b"\x80", b""]
)
def test_bad_json_is_a_violation(payload: bytes) -> None:
    with pytest.raises(ChannelError):
        parsed(payload, Caps())


@pytest.mark.parametrize(("levels", "fits"), [(200, True), (201, False), (900, False), (2000, False)])
def test_deep_json_is_refused_before_the_journal_would_stumble_over_it(levels: int, fits: bool) -> None:  # noqa: FBT001
    payload = b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    if fits:
        assert parsed(payload, Caps())
        return
    with pytest.raises(ChannelError):
        parsed(payload, Caps())


def test_json_with_very_many_values_is_refused_unparsed() -> None:
    with pytest.raises(ChannelError, match="more than 50 values"):
        parsed(b'{"a":[' + b"[]," * 60 + b"[]]}", SMALL)
