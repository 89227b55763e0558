"""Anything that a sandbox may claim about a component."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowray_registry import entry as entries
from flowray_registry.entry import digest_of, extracted

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


KEYS = st.sampled_from(
    ["frontend", "template", "outputs", "display_name", "metadata", "base_classes", "code", "imports"]
)


@settings(max_examples=60)
@given(claim=st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=4), max_size=4))
def test_whatever_a_sandbox_claims_becomes_an_entry_of_the_source_it_was_given(claim: dict[str, object]) -> None:
    entry = extracted("x = 1", "Mine", {"frontend": claim, **claim}, at=1.0)
    assert entry.spec.digest == digest_of("x = 1")
    assert entries.decode(entries.encode(entry)) == entry
