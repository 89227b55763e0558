"""Langflow and FlowRay are asked the same. What differs is in docs/compatibility.md with its reason, or a mistake."""

from __future__ import annotations

import pytest

from tests.conformance.differences import Row
from tests.conformance.sides import Side, Story, told
from tests.conformance.stories import STORIES


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_only_what_is_documented_differs(story: Story, theirs: Side, ours: Side, table: list[Row]) -> None:
    unexplained = [found for found in told(story, theirs, ours) if not [row for row in table if row.covers(found)]]

    assert unexplained == []
