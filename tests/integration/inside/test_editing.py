"""The jobs of an editor, in a real sandbox: source is loaded there, and what it says of itself comes back."""

from __future__ import annotations

import json

import pytest

from tests.integration.inside.flows import component
from tests.integration.inside.host import Inside
from tests.kit.shipped import shipped, source


def test_a_source_is_described_as_its_node(inside: Inside) -> None:
    heard = inside.do({"job": "describe", "code": component("return None", inputs='StrInput(name="word", value="hi")')})

    assert heard.result is not None, heard.error
    assert heard.result["name"] == "Custom"
    assert heard.result["frontend"]["template"]["word"]["value"] == "hi"


def test_a_changed_field_changes_the_fields_that_are_shown(inside: Inside) -> None:
    template = json.loads(json.dumps(shipped("SplitText")["template"]))
    change = {"field": "clean_output", "field_value": True, "template": template, "tool_mode": False}

    heard = inside.do({"job": "refresh", "code": source("SplitText"), **change})

    assert heard.result is not None, heard.error
    assert heard.result["frontend"]["template"]["code"]["value"] == source("SplitText")
    assert heard.result["name"] == "SplitText"


@pytest.mark.parametrize("job", ["describe", "refresh"])
def test_what_a_source_raises_while_it_is_loaded_is_said_in_its_own_words(inside: Inside, job: str) -> None:
    code = component("return None") + '\nraised = {}["at import"]\n'

    heard = inside.do({"job": job, "code": code, "template": {}, "field": "x"})

    assert heard.error is not None
    assert "at import" in heard.error["error"]


@pytest.mark.parametrize(
    ("code", "said"),
    [("import os", []), ("def f(:", ["invalid syntax"]), ("import nothere", ["nothere"])],
)
def test_a_source_is_validated_without_being_loaded(inside: Inside, code: str, said: list[str]) -> None:
    heard = inside.do({"job": "validate", "code": code + '\nraise SystemExit("loaded")' * (not said)})

    assert heard.result is not None, heard.error
    errors = [*heard.result["imports"]["errors"], *heard.result["function"]["errors"]]
    assert len(errors) == len(said)
    assert all(word in error for word, error in zip(said, errors, strict=True))


def test_a_prompt_gets_a_field_for_each_variable(inside: Inside) -> None:
    asked = {"name": "template", "template": "Hi {who}", "frontend_node": shipped("Prompt Template")}

    heard = inside.do({"job": "prompt", **asked})

    assert heard.result is not None, heard.error
    assert heard.result["input_variables"] == ["who"]
    assert heard.result["frontend_node"]["template"]["who"]["display_name"] == "who"
