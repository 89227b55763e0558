from __future__ import annotations

import pytest

from tests.integration.inside.flows import Builder, component
from tests.integration.inside.host import Inside


def test_the_frontend_node_has_inputs_outputs_types_and_the_source(inside: Inside) -> None:
    code = component('import yaml\nreturn Message(text="")', inputs='StrInput(name="word", value="hi")')

    heard = inside.do({"job": "extract", "code": code})

    assert heard.result is not None, heard.error
    frontend = heard.result["frontend"]
    assert frontend["template"]["word"]["value"] == "hi"
    assert frontend["template"]["code"]["value"] == code
    assert frontend["outputs"][0]["types"] == ["Message"]
    assert frontend["base_classes"] == ["Message"]
    assert heard.result["imports"] == ["lfx", "yaml"]
    assert heard.result["name"] == "Custom"


def test_of_several_components_in_a_source_the_named_one_is_meant(inside: Inside) -> None:
    code = component("return None", name="One") + component("return None", name="Other")

    heard = inside.do({"job": "extract", "code": code, "name": "Other"})

    assert heard.result is not None
    assert heard.result["frontend"]["display_name"] == "Other"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def (:", "line 1"),
        ("import there_is_no_such_module\n" + component("return None"), "there_is_no_such_module"),
        (component("return None") + '\nraised = {}["at import"]\n', "at import"),
        ("x = 1", "Component"),
    ],
)
def test_source_that_is_no_component_is_refused_in_its_own_words(inside: Inside, code: str, said: str) -> None:
    heard = inside.do({"job": "extract", "code": code})

    assert heard.error is not None
    assert heard.error["kind"] == "component"
    assert said in heard.error["error"]


def test_what_the_source_prints_while_it_is_loaded_is_told(inside: Inside) -> None:
    heard = inside.do({"job": "extract", "code": component("return None") + '\nprinted = print("loading")\n'})

    assert {line for told in heard.of("log") for line in told["text"].splitlines()} == {"loading"}


def test_a_compact_spec_becomes_the_same_flow_each_time(inside: Inside, build: Builder) -> None:
    text = "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n"

    first, second = (inside.do({"job": "expand", "spec": text}) for _ in range(2))

    assert first.result == second.result
    assert first.result is not None
    assert [node["id"] for node in first.result["flow"]["data"]["nodes"]] == ["ChatInput-A", "ChatOutput-B"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes:\n  A: NoSuchComponent\n", "NoSuchComponent"),
        ("nodes:\n  A: ChatInput\n  A: ChatOutput\n", "twice"),
        ("something else", "something else"),
        ("nodes:\n  A: ChatInput\n\nedges:\n  A.nothing -> B.input_value\n", "B"),
    ],
)
def test_a_spec_that_makes_no_flow_is_refused(inside: Inside, text: str, said: str) -> None:
    heard = inside.do({"job": "expand", "spec": text})

    assert heard.error is not None
    assert said in heard.error["error"]
