"""The 27 starter flows, on Langflow and on FlowRay: through `/run`, and through the streams of v2."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pprint import pformat
from typing import Any

import httpx
import pytest

from tests.conformance.differences import Difference, Row
from tests.conformance.normal import frames
from tests.conformance.sides import Side
from tests.kit.starters import model_tweaks, nodes_of, starters, with_source
from tests.kit.web import Web, at_this_web

QUESTION = "Tell me about rivers"
NOTES = b"Revenue rose to 42 million.\n"
Texts = Mapping[str, str]


@pytest.mark.parametrize("how", ["run", "stream"])
@pytest.mark.parametrize("name", sorted(starters()))
def test_a_starter_answers_on_both_what_it_answers_on_one(
    name: str, how: str, theirs: Side, ours: Side, web: Web, table: list[Row]
) -> None:
    flow = starters()[name]
    for node in nodes_of(flow, "ArXivComponent"):
        flow = with_source(flow, node, at_this_web(web))

    answers = [answer(side, flow, how) for side in (theirs, ours)]

    what = difference(*answers)
    covering = [row for row in table if what and row.covers(Difference(f"starter {name} {how}", what))]
    assert what is None or covering, f"{what}:\n{pformat(answers, width=200)}"


def difference(there: Texts | None, here: Texts | None) -> str | None:
    """What differs, in a word; `there` and `here` are None of a run that failed."""
    if there == here:
        return None
    if here is None:
        return "fails here"
    return "fails there" if there is None else "other texts"


def answer(side: Side, flow: Mapping[str, Any], how: str) -> Texts | None:
    """The texts of the flow's outputs by node; None when it fails."""
    fresh = {key: value for key, value in flow.items() if key not in ("id", "endpoint_name")}
    made = side.http.post("/api/v1/flows/", json=fresh)
    if made.is_error:
        return None
    flow_id = made.json()["id"]
    tweaks: dict[str, Any] = model_tweaks(flow)
    for node in nodes_of(flow, "File"):
        sent = side.made(f"/api/v1/files/upload/{flow_id}", files={"file": ("notes.txt", NOTES)})
        tweaks[node] = {"path": [sent["file_path"]]}
    asked = {"input_value": QUESTION, "tweaks": tweaks, "session_id": uuid.uuid4().hex}
    try:
        return run(side, flow_id, asked) if how == "run" else stream(side, flow_id, asked)
    finally:
        side.http.delete(f"/api/v1/flows/{flow_id}")


def run(side: Side, flow_id: str, asked: Mapping[str, Any]) -> Texts | None:
    response = side.http.post(f"/api/v1/run/{flow_id}", json={**asked, "output_type": "any"})
    if response.is_error:
        return None
    results = response.json()["outputs"][0]["outputs"]
    return {result["component_id"]: text_of(result["results"]) for result in results if result}


def stream(side: Side, flow_id: str, asked: Mapping[str, Any]) -> Texts | None:
    body = {**asked, "flow_id": flow_id, "mode": "stream"}
    response: httpx.Response = side.http.post("/api/v2/workflows", json=body)
    events = [] if response.is_error else frames(response.text)
    if not events or any(event["event"] == "error" for event in events):
        return None
    ends = [event["data"] for event in events if event["event"] == "end_vertex"]
    outputs = [end["build_data"] for end in ends if end["output_meta"].get("is_output")]
    return {build["id"]: text_of(build["data"]["results"]) for build in outputs}


def text_of(results: Mapping[str, Any]) -> str:
    found = [value["text"] for value in results.values() if isinstance(value, Mapping) and "text" in value]
    return str(found[0]) if found else ""
