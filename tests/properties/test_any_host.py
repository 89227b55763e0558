"""Any host that a sandbox may name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowray.sandbox.policy import Policy


@given(st.text(max_size=60), st.integers(0, 70000))
def test_any_host_is_decided_without_an_error(host: str, port: int) -> None:
    assert not Policy(hosts=("example.org",), private=("10.0.0.1",)).allows(host, port) or host == "example.org"
