import ssl
from functools import cache

import pytest

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


def test_the_name_of_a_real_client_is_found() -> None:
    assert server_name(hello("Api.Example.org")) == "api.example.org"


def test_a_client_that_names_no_host_is_told_apart() -> None:
    assert server_name(hello(None)) == ""


@pytest.mark.parametrize(
    "received", [b"GET / HTTP/1.1\r\n", b"\x15\x03\x01\x00\x02\x01\x00", b"\x16\x02\x00\x00\x01\x01"]
)
def test_what_is_no_hello_is_refused(received: bytes) -> None:
    with pytest.raises(NotClientHelloError):
        server_name(received)
