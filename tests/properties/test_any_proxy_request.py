"""Any bytes that a sandbox may send to the gate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowray.sandbox.proxy_request import BadRequestError, parse


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(head: bytes) -> None:
    _read_or_refuse(head)


@given(
    st.sampled_from(["CONNECT ", "GET http://", "POST http://"]),
    st.text(alphabet="abc.:@/?#%[]\\ 0129\r\n\t", max_size=40),
    st.sampled_from([" HTTP/1.1", "", " HTTP/1.1\r\nHost: x"]),
)
def test_a_target_never_holds_more_than_a_name(method: str, where: str, rest: str) -> None:
    _read_or_refuse((method + where + rest).encode())


def _read_or_refuse(head: bytes) -> None:
    try:
        target = parse(head)
    except BadRequestError:
        return
    assert target.host
    assert not set(target.host) & set("@:/?#%[]\\ \r\n\t")
    assert 0 < target.port < 65536
    assert target.head.count(b"\r\n\r\n") <= 1
