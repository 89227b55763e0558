"""A TLS greeting in any pieces, and any bytes in its place."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from flowray.sandbox.client_hello import NotClientHelloError, server_name
from tests.unit.sandbox.test_client_hello import hello


def split(records: bytes, sizes: list[int]) -> bytes:
    """The same message in records of these sizes."""
    message, out = records[5:], b""
    for size in [*sizes, len(message)]:
        part, message = message[:size], message[size:]
        if part:
            out += records[:3] + len(part).to_bytes(2, "big") + part
    return out


@given(st.integers(min_value=0))
def test_with_a_part_of_it_more_is_asked_for(cut: int) -> None:
    whole = hello("example.org")

    assert server_name(whole[: cut % len(whole)]) is None


@given(st.lists(st.integers(1, 300), max_size=5))
def test_it_may_come_in_any_number_of_records(sizes: list[int]) -> None:
    assert server_name(split(hello("example.org"), sizes)) == "example.org"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(received: bytes) -> None:
    _read_or_refuse(received)


@given(st.data())
def test_a_damaged_hello_is_read_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(hello("example.org"))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))

    _read_or_refuse(bytes(damaged))


def _read_or_refuse(received: bytes) -> None:
    with contextlib.suppress(NotClientHelloError):
        assert isinstance(server_name(received), str | None)
