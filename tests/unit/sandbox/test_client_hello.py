import contextlib
import ssl
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowray.sandbox.client_hello import NotClientHelloError, server_name


@cache
def hello(name: str | None) -> bytes:
    """What a real client sends first."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def split(records: bytes, sizes: list[int]) -> bytes:
    """The same message in records of these sizes."""
    message, out = records[5:], b""
    for size in [*sizes, len(message)]:
        part, message = message[:size], message[size:]
        if part:
            out += records[:3] + len(part).to_bytes(2, "big") + part
    return out


def test_the_name_of_a_real_client_is_found() -> None:
    assert server_name(hello("Api.Example.org")) == "api.example.org"


def test_a_client_that_names_no_host_is_told_apart() -> None:
    assert server_name(hello(None)) == ""


@given(st.integers(min_value=0))
def test_with_a_part_of_it_more_is_asked_for(cut: int) -> None:
    whole = hello("example.org")

    assert server_name(whole[: cut % len(whole)]) is None


@given(st.lists(st.integers(1, 300), max_size=5))
def test_it_may_come_in_any_number_of_records(sizes: list[int]) -> None:
    assert server_name(split(hello("example.org"), sizes)) == "example.org"


@pytest.mark.parametrize(
    "received", [b"GET / HTTP/1.1\r\n", b"\x15\x03\x01\x00\x02\x01\x00", b"\x16\x02\x00\x00\x01\x01"]
)
def test_what_is_no_hello_is_refused(received: bytes) -> None:
    with pytest.raises(NotClientHelloError):
        server_name(received)


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
