"""What is documented is held against what was seen; the last of this folder's tests."""

from __future__ import annotations

import pytest

from tests.conformance.differences import Row


def test_whatever_is_documented_really_differs(table: list[Row], request: pytest.FixtureRequest) -> None:
    modules = {item.path.name for item in request.session.items}
    only_some = request.config.getoption("keyword") or any("::" in argument for argument in request.config.args)
    if only_some or not {"test_conformance.py", "test_starters_on_both.py"} <= modules:
        pytest.skip("only the whole suite sees every difference")

    assert [(row.request, row.what) for row in table if not (row.used or row.sometimes)] == []
