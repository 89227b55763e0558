"""Any change of a chain of acts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowray.tenancy.act import faults
from tests.unit.tenancy.test_act import COUNT, chain


@given(st.data())
def test_any_one_byte_that_changes_is_found_out(data: st.DataObject) -> None:
    lines, end = chain()
    at = data.draw(st.integers(0, COUNT - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != lines[at][place]))
    lines[at] = lines[at][:place] + bytes([byte]) + lines[at][place + 1 :]
    assert faults(lines, end=end) != []
