"""Any event, written and read again."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from flowray.engine.codec import decode, encode
from flowray.engine.events import (
    BranchStopped,
    Event,
    MessageAdded,
    NodeFinished,
    NodePaused,
    RunAccepted,
    StepStarted,
)
from flowray.engine.values import Ref, Value
from tests.unit.engine.test_codec import recorded

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


REFS = st.builds(Ref, key=ANY_TEXT, size=st.integers(0), sha256=ANY_TEXT)


VALUES = st.builds(Value, type=ANY_TEXT, json=JSON) | st.builds(Value, type=ANY_TEXT, ref=REFS)


SPECIAL: dict[tuple[type, str], st.SearchStrategy[Any]] = {
    (RunAccepted, "request"): st.none() | REFS,
    (MessageAdded, "message_ref"): st.none() | REFS,
    (NodeFinished, "result_ref"): st.none() | REFS,
    (NodeFinished, "outputs"): st.dictionaries(ANY_TEXT, VALUES, max_size=3),
    (NodePaused, "state"): st.none() | REFS,
    (BranchStopped, "nodes"): st.lists(ANY_TEXT, max_size=3).map(tuple),
    (StepStarted, "degraded"): st.lists(ANY_TEXT, max_size=3).map(tuple),
}


def events(event_class: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one kind with any JSON in each field: the codec has no opinion on it."""
    given = {field.name: SPECIAL.get((event_class, field.name), JSON) for field in fields(event_class)}
    return st.builds(event_class, **given)


@given(st.one_of([events(event_class) for event_class in get_args(Event)]))
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    written = encode(recorded(event))
    assert b"\n" not in written
    assert decode(written) == recorded(event)
