"""Any frames, cut anywhere, and any bytes in their place."""

from __future__ import annotations

from itertools import pairwise

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.errors import ChannelError
from flowray.runner import frames
from flowray.runner.frames import Caps, Frame, FrameDecoder, frame, parsed
from tests.unit.runner.test_frames import SMALL

KINDS = st.sampled_from([frames.EVENT, frames.BLOB, frames.HEARTBEAT, frames.ASK])


SOME_FRAMES = st.lists(st.builds(Frame, KINDS, st.binary(max_size=100)), max_size=10)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(borders)]


@settings(max_examples=60)
@given(sent=SOME_FRAMES, places=st.lists(st.integers(0, 10_000), max_size=20))
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(sent: list[Frame], places: list[int]) -> None:
    data = b"".join(frame(*one) for one in sent)
    decoder = FrameDecoder()
    assert [got for piece in cut(data, places) for got in decoder.feed(piece)] == sent
    assert not decoder.midway


@settings(max_examples=60)
@given(garbage=st.binary(max_size=3000), places=st.lists(st.integers(0, 10_000), max_size=5))
def test_garbage_gives_frames_or_a_channel_error_and_never_holds_more_than_one_frame(
    garbage: bytes, places: list[int]
) -> None:
    decoder = FrameDecoder(SMALL)
    try:
        for piece in cut(garbage, places):
            decoder.feed(piece)
            assert len(decoder._buffer) < SMALL.frame_bytes + 5
    except ChannelError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=60)
@given(payload=st.binary(max_size=300) | JSON.map(lambda value: orjson.dumps({"v": value}, default=str)))
def test_what_was_parsed_can_be_said_again(payload: bytes) -> None:
    try:
        found = parsed(payload, Caps())
    except ChannelError:
        return
    assert orjson.loads(orjson.dumps(found)) == found
