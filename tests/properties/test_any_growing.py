"""A mapping that grows, by any changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowray.engine.growing import Growing

CHANGES = st.lists(st.dictionaries(st.integers(0, 9), st.integers(), max_size=3))


@given(CHANGES)
def test_it_holds_what_a_dict_would_hold(changes: list[dict[int, int]]) -> None:
    growing, plain = Growing[int, int](), dict[int, int]()
    for change in changes:
        growing, plain = growing.with_(change), plain | change
    assert growing == plain
    assert all(growing[key] == plain[key] for key in plain)
    assert list(growing) == list(plain)
    assert bool(growing) == bool(plain)
