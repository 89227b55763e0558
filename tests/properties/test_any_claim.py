"""Anything that a sandbox may claim about its step."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.errors import ChannelError
from tests.unit.runner.test_claims import claims

KIND = st.sampled_from(
    ["node_started", "token", "message", "log", "node_finished", "node_failed", "branch_stopped", "context"]
)


KEY = st.sampled_from(
    ["node", "text", "message", "outputs", "result", "took_s", "usage", "nodes", "output", "values", "error"]
)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(kind=KIND, facts=st.dictionaries(KEY, ANY | st.just("a"), max_size=6))
def test_any_json_is_an_event_or_a_violation(kind: str, facts: dict[str, Any]) -> None:
    try:
        event = claims("secret").event(orjson.dumps({"node": "a", **facts, "kind": kind}))
    except ChannelError:
        return
    assert event is not None
