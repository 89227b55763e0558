"""Any text as a component's source."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowray.component.imports import imported_by


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(source: str) -> None:
    imported_by(source)
