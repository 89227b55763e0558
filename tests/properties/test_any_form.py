"""Any flow that can be read comes out of its files as it was."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.errors import FlowFormatError
from flowray.flow.digest import digest
from flowray.flow.form import form
from flowray.flow.formed import formed
from flowray.flow.langflow import read
from tests.unit.build import Raw, document, field, node, note
from tests.unit.flow.test_form import again

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "a\nb\n",
        " a\n\n  b ",
        "\n",
        "yes",
        "1e3",
        "null",
        "- a: b\n- c",
        "x: |\n  y",
        "#no",
        "a\r\nb",
        "\ufeffa",
        "\x85\n",
        "\t\n",
    ]
)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


KINDS = st.sampled_from(
    ["str", "bool", "int", "dict", "NestedDict", "file", "code", "mcp", "table", "SecretStr", "prompt"]
)


FACTS = st.dictionaries(
    st.sampled_from(["value", "list", "load_from_db", "file_path", "password", "show", "options"]), JSON, max_size=4
)


FIELDS = st.builds(
    lambda name, kind, facts: {**field(name, "Message"), "type": kind} | facts,
    st.sampled_from(["in", "api_key", "on"]),
    KINDS,
    FACTS,
)


BODIES: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["frozen", "tool_mode", "description", "lf_version", "made_up", "edited"]), JSON, max_size=3
)


@st.composite
def documents(draw: st.DrawFn) -> Raw:
    code = st.sampled_from(["x = 1", "import os\r\n\n", None])
    nodes = [
        node(
            name,
            fields=tuple({one["name"]: one for one in draw(st.lists(FIELDS, max_size=3))}.values()) or (field("in"),),
            code=draw(code),
            **draw(BODIES),
        )
        for name in ("a", "b.c", "d")
    ]
    wires = draw(st.sets(st.sampled_from(["a.out > d.in", "d.out > a.in", "a.out >> d.out", "d.out > a.gone"])))
    made = document(*nodes, note(), wires=tuple(sorted(wires)), description=draw(TEXTS))
    if draw(st.booleans()):
        inner = {"data": {"nodes": [made["data"]["nodes"].pop(0)], "edges": []}, "name": "inner"}
        body = {"flow": inner, "template": {}, "outputs": [], "display_name": "Group"}
        made["data"]["nodes"].append({"id": "g", "data": {"id": "g", "type": "Group", "node": body}})
        made["data"]["edges"] = [one for one in made["data"]["edges"] if "a" not in (one["source"], one["target"])]
    return made


@settings(max_examples=25)
@given(documents())
def test_the_same_flow_comes_out_of_its_files(flow: Raw) -> None:
    try:
        before = read(flow)
    except FlowFormatError:
        return
    made = formed(again(form(flow)), flow)
    assert digest(read(made.document)) == digest(before)
    assert form(made.document).fingerprint == form(flow).fingerprint
    assert made.unfilled == ()
