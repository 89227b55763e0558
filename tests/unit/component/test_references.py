"""Which variables a flow refers to."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowray.component.providers import variables_of
from flowray.component.references import named_by_fields, words_of
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from tests.unit.serve.service import canvas, drawn


def flow(**fields: Any) -> Flow:
    return read(canvas(drawn("Chat-1", **fields)))


def test_a_field_that_takes_its_value_from_a_variable_names_it() -> None:
    found = flow(
        key={"type": "str", "value": "My key", "load_from_db": True},
        text={"type": "str", "value": "No key"},
    )
    assert named_by_fields(found) == {"My key"}


def test_a_model_names_the_variables_of_its_provider() -> None:
    found = flow(model={"type": "model", "value": [{"name": "gpt", "provider": "OpenAI"}]})
    assert named_by_fields(found) == {"OPENAI_API_KEY", "OPENAI_BASE_URL"}
    assert variables_of("Some New One") == ("SOME_NEW_ONE_API_KEY",)


def test_a_component_names_what_its_source_says() -> None:
    found = read(canvas(drawn("Own-1", code="class Own:\n  def run(self): return self.variables('CRM_TOKEN', 'x')")))
    assert "CRM_TOKEN" in words_of(found)
    assert "CRM" not in words_of(found)


def test_providers_are_those_of_lfx() -> None:
    spec = find_spec("lfx")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent.joinpath("base/models/model_metadata.py").read_text()
    (known,) = [
        ast.literal_eval(one.value)
        for one in ast.parse(source).body
        if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "MODEL_PROVIDER_METADATA" and one.value
    ]
    assert len(known) > 5
    for provider, said in known.items():
        assert variables_of(provider) == tuple(one["variable_key"] for one in said["variables"])
