from __future__ import annotations

import pytest

from flowray_serve.vertex_build import build_data, lasting
from tests.unit.serve.flows import said


@pytest.mark.parametrize(
    ("took_s", "told"),
    [
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (125.2, "2 min 5 s"),
    ],
)
def test_a_duration_is_rounded_before_its_unit_is_chosen(took_s: float, told: str) -> None:
    assert lasting(took_s) == told


def test_a_node_that_was_stopped_on_several_ways_is_named_once() -> None:
    told = build_data(said("Router-1", "hi"), None, at=0, stopped=["B", "A", "B", "A"])
    assert told["inactivated_vertices"] == ["B", "A"]
