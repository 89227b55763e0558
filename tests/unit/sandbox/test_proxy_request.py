import pytest

from flowray.sandbox.proxy_request import BadRequestError, parse


def test_connect_names_host_and_port() -> None:
    target = parse(b"CONNECT Example.org:443 HTTP/1.1\r\nHost: other.org\r\nUser-Agent: x")

    assert (target.host, target.port, target.tunnel) == ("example.org", 443, True)


def test_a_plain_request_is_sent_on_for_that_host_alone() -> None:
    target = parse(
        b"POST http://example.org:8080/a?b=c HTTP/1.1\r\nHost: internal\r\nContent-Length: 3\r\n"
        b"Proxy-Authorization: secret\r\nConnection: keep-alive\r\nAccept: */*"
    )

    assert (target.host, target.port, target.body_bytes, target.tunnel) == ("example.org", 8080, 3, False)
    assert target.head == (
        b"POST /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\nContent-Length: 3\r\nAccept: */*\r\n"
        b"Connection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET https://example.org/ HTTP/1.1",
        b"GET ftp://example.org/ HTTP/1.1",
        b"GET http://user:pass@example.org/ HTTP/1.1",
        b"GET http://example.org\\@internal/ HTTP/1.1",
        b"GET http://example.org?x HTTP/1.1",
        b"GET http://[::1]/ HTTP/1.1",
        b"GET  http://example.org/ HTTP/1.1",
        b"GET http://example.org/ HTTP/1.1\nX: y",
        b"GET http://example.org/ HTTP/1.1\r\nX : y",
        b"GET http://example.org/ HTTP/1.1\r\n folded",
        b"GET http://example.org/ HTTP/2",
        b"POST http://example.org/ HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2",
        b"POST http://example.org/ HTTP/1.1\r\nContent-Length: -1",
        b"POST http://example.org/ HTTP/1.1\r\nContent-Length: +1",
        b"CONNECT example.org HTTP/1.1",
        b"CONNECT example.org:0 HTTP/1.1",
        b"CONNECT example.org:99999 HTTP/1.1",
        b"CONNECT user@example.org:443 HTTP/1.1",
        b"CONNECT exa%6dple.org:443 HTTP/1.1",
        b"CONNECT example.org:443/path HTTP/1.1",
        "CONNECT exämple.org:443 HTTP/1.1".encode(),
        b"connect example.org:443 HTTP/1.1",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse(head)
