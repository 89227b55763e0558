"""Langflow's own starter flows, whole and damaged."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.component.check import check
from flowray.component.index import find_index, load_index
from flowray.flow.langflow import read, write
from flowray.plan.planner import plan
from flowray.plan.types import Fusion
from tests.kit.starters import components, starters
from tests.properties.test_hostile_documents import VALUES, places, put, read_and_use

NAMES = sorted(starters())
CATALOG = load_index(find_index())


@pytest.mark.parametrize("name", NAMES)
def test_a_starter_is_read_and_written_without_loss(name: str) -> None:
    starter = starters()[name]

    flow = read(orjson.dumps(starter))

    written = write(flow)
    assert [node.id for node in flow.nodes] == [node["id"] for node in components(starter)]
    assert written["data"]["edges"] == starter["data"]["edges"]
    assert {node["id"]: node for node in written["data"]["nodes"]} == {
        node["id"]: node for node in starter["data"]["nodes"]
    }
    assert {**written, "data": 0} == {**starter, "data": 0}


@pytest.mark.parametrize("name", NAMES)
def test_a_starter_has_no_errors(name: str) -> None:
    assert [finding for finding in check(read(starters()[name]), CATALOG) if finding.severity == "error"] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fusion", ["auto", "none"])
def test_a_starter_is_planned(name: str, fusion: Fusion) -> None:
    flow = read(starters()[name])

    made = plan(flow, specs=CATALOG, fusion=fusion)

    assert sorted(made.step_of) == sorted(node.id for node in flow.nodes)
    assert made.outputs
    assert len(made.steps) == 1 or fusion == "none"


PLACES = {name: list(places(starters()[name])) for name in NAMES}


@given(data=st.data(), name=st.sampled_from(NAMES), send=st.sampled_from([orjson.dumps, copy.copy]))
@settings(max_examples=300, deadline=None)
def test_a_starter_with_anything_anywhere_is_read_or_refused(data: st.DataObject, name: str, send: Any) -> None:
    doc = orjson.loads(orjson.dumps(starters()[name]))
    for path, value in data.draw(st.lists(st.tuples(st.sampled_from(PLACES[name]), VALUES), min_size=1, max_size=4)):
        put(doc, path, value)

    try:
        sent = send(doc)
    except (TypeError, ValueError):
        sent = doc  # no JSON text could say this, but an object can
    read_and_use(sent)
