"""A flow as files: the same flow comes out of them, without noise, and no secret is in any."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flowray.errors import FlowFormatError
from flowray.flow.digest import digest
from flowray.flow.form import Form, form
from flowray.flow.form_text import parsed, written
from flowray.flow.formed import formed
from flowray.flow.langflow import read
from tests.unit.build import Raw, document, field, node, note, output


def again(found: Form) -> Form:
    """What is read of the files that a form is written to."""
    return Form(flow=parsed(written(found.flow)), files=dict(found.files))


def test_over_what_there_is_nothing_at_all_changes() -> None:
    flow = document(node("a"), node("b"), note(), wires=("a.out > b.in",), description="d", id="i")
    made = formed(again(form(flow)), flow).document
    assert made["data"]["nodes"] == flow["data"]["nodes"]
    assert made["data"]["viewport"] == flow["data"]["viewport"]


NOISE: dict[str, Any] = {
    "a place": lambda flow: flow["data"]["nodes"][0].update(position={"x": 7, "y": 7}, selected=True, measured={}),
    "the view": lambda flow: flow["data"].update(viewport={"x": 9, "y": 9, "zoom": 2}),
    "a time": lambda flow: flow.update(updated_at="2026-01-01", user_id="u", version_token="t"),
    "an edge's id": lambda flow: flow["data"]["edges"][0].update(id="other", animated=True),
    "an order": lambda flow: (flow["data"]["nodes"].reverse(), flow["data"]["edges"].reverse()),
    "an editor's stamp": lambda flow: flow["data"]["nodes"][0]["data"]["node"].update(lf_version="1.13.0"),
}


@pytest.mark.parametrize("noise", NOISE)
def test_noise_is_in_no_file(noise: str) -> None:
    flow = document(node("a"), node("b"), node("c"), wires=("a.out > b.in", "b.out > c.in"))
    before = form(flow)
    NOISE[noise](flow)
    assert form(flow) == before


@pytest.mark.parametrize("wires", [("a.out > c.in", "b.out > c.in"), ("b.out > c.in", "a.out > c.in")])
def test_the_order_of_wires_into_one_field_is_kept(wires: tuple[str, ...]) -> None:
    flow = document(node("a"), node("b"), node("c"), wires=wires)
    assert digest(read(formed(again(form(flow)), flow).document)) == digest(read(flow))


def test_of_a_wire_that_is_drawn_twice_the_same_one_counts() -> None:
    flow = document(node("a"), node("b"), wires=("a.out > b.in",))
    second = copy.deepcopy(flow["data"]["edges"][0])
    second["data"]["sourceHandle"]["output_types"] = ["A"]
    flow["data"]["edges"].append(second)
    assert digest(read(formed(again(form(flow)), flow).document)) == digest(read(flow))


def test_a_field_whose_variable_has_no_name_yet_stays_as_it_is() -> None:
    flow = document(node("a", fields=(field("in", "Message"),)))
    entry = flow["data"]["nodes"][0]["data"]["node"]["template"]["in"]
    entry.pop("value", None)
    entry["load_from_db"] = True
    assert digest(read(formed(again(form(flow)), flow).document)) == digest(read(flow))


def test_a_value_changes_one_line_and_no_other_file() -> None:
    flow = document(*(node(name, fields=(field("in", "Message"),)) for name in "ab"))
    before = form(flow)
    flow["data"]["nodes"][0]["data"]["node"]["template"]["in"]["value"] = "new"
    after = form(flow)
    lines = [text.splitlines() for text in (written(before.flow), written(after.flow))]
    assert [line for line in lines[1] if line not in lines[0]] == ["    values:", "      in: new"]
    assert before.files == after.files


def test_nodes_of_the_same_component_stand_on_the_same_files() -> None:
    found = form(document(*(node(name, fields=(field("in", value=name),), display_name="Same") for name in "abc")))
    assert len(found.files) == 2


def test_a_prompt_stands_as_it_reads() -> None:
    text = written(form(document(node("a", fields=(field("prompt", value="Dear {name},\n\nhello.\n"),)))).flow)
    assert "prompt: |\n        Dear {name},\n\n        hello.\n" in text


def secret_of(flow: Raw) -> Any:
    return flow["data"]["nodes"][0]["data"]["node"]["template"]["key"]


def test_a_secret_is_in_no_file_and_comes_back_from_where_it_is_kept() -> None:
    flow = document(node("a", fields=(field("key", password=True, value="hunter2"),)))
    found = form(flow)
    assert "hunter2" not in written(found.flow) + "".join(found.files.values())
    assert secret_of(formed(found, flow).document)["value"] == "hunter2"
    nowhere = formed(found)
    assert (secret_of(nowhere.document)["value"], nowhere.unfilled) == ("", ("a.key",))


def test_a_variable_is_named() -> None:
    found = form(document(node("a", fields=(field("key", password=True, value="OPENAI_API_KEY", load_from_db=True),))))
    assert found.flow["nodes"]["a"]["variables"] == {"key": "OPENAI_API_KEY"}
    assert secret_of(formed(found).document)["load_from_db"] is True


def test_other_secrets_are_the_same_flow() -> None:
    flows = [document(node("a", fields=(field("key", password=True, value=value),))) for value in ("one", "two")]
    assert form(flows[0]).fingerprint == form(flows[1]).fingerprint


def test_source_that_is_edited_in_its_file_is_the_nodes_source() -> None:
    found = form(document(node("a", code="x = 1")))
    edited = {name: "x = 2" if name.endswith(".py") else text for name, text in found.files.items()}
    assert read(formed(Form(flow=found.flow, files=edited)).document).nodes[0].code == "x = 2"


def test_new_nodes_get_places_from_left_to_right() -> None:
    found = form(document(node("a"), node("b"), node("c"), wires=("a.out > b.in", "b.out > c.in", "c.out > a.in")))
    places = [raw["position"]["x"] for raw in formed(found).document["data"]["nodes"]]
    assert len(set(places)) == 3


def test_a_notes_words_are_kept() -> None:
    found = form(document(node("a"), note("n", "why")))
    assert found.flow["notes"] == {"n": "why"}
    assert form(formed(found).document) == found


# What a note may be, since no run looks at it.
ODD_NOTES: tuple[Raw, ...] = (
    *({**note("n"), "data": odd} for odd in (None, [], [1], 5, {"node": None}, {"node": [1]})),
    *({**note(), "id": odd} for odd in (None, "", 5, [1], {"a": 1})),
    {"type": "noteNode"},
)


@pytest.mark.parametrize("odd", ODD_NOTES)
def test_a_note_that_is_none_has_a_form_too(odd: Raw) -> None:
    flow = document(node("a"), odd)

    found = form(flow)

    assert digest(read(formed(found, flow).document)) == digest(read(flow))


WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": (lambda flow: flow.update(nodes=[]) or flow["nodes"].append(1), "must be a mapping"),
    "an unknown field": (lambda flow: flow["nodes"]["a"].update(values={"made_up": 1}), "has no field `made_up`"),
    "a file that is gone": (lambda flow: flow["nodes"]["a"].update(source="gone.py"), "components/gone.py"),
    "half a wire": (lambda flow: flow.update(wires=["a.out to a.in"]), "is no wire"),
    "no component": (lambda flow: flow["nodes"]["a"].pop("component"), "must name its component"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_a_file_is_named(wrong: str) -> None:
    change, said = WRONG[wrong]
    found = form(document(node("a")))
    flow = copy.deepcopy(found.flow)
    change(flow)
    with pytest.raises(FlowFormatError, match=said):
        formed(Form(flow=flow, files=found.files))


@pytest.mark.parametrize("text", ["a: [", "- a", "", "!!python/object:os.system {}"])
def test_text_that_is_no_form_is_refused(text: str) -> None:
    with pytest.raises(FlowFormatError):
        parsed(text)


def test_a_loops_wire_is_told_apart() -> None:
    loop = node("l", fields=(field("in", "Message"),), outputs=(output("item", "Message", allows_loop=True),))
    flow = document(loop, node("b"), wires=("l.item > b.in", "b.out >> l.item"))
    found = form(flow)
    assert found.flow["wires"] == ["b.out >> l.item", "l.item > b.in"]
    assert digest(read(formed(found).document)) == digest(read(flow))
