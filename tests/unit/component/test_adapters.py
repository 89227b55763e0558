"""Nodes of other frameworks, before anything of them runs: whose they are, what they need, what cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flowray.component.adapters import adapter_of, adapters
from flowray.component.adapters.pipeline_text import MOST_CHARS
from flowray.component.check import check
from flowray.component.imports import Imports
from flowray.errors import TweakRefusedError
from flowray.flow.tweaks import tweak
from flowray.flow.types import Flow
from tests.unit.build import flow_of, node

PIPELINE = """
components:
  finder:
    type: haystack.components.retrievers.in_memory.bm25_retriever.InMemoryBM25Retriever
    init_parameters:
      document_store:
        type: haystack_integrations.document_stores.qdrant.document_store.QdrantDocumentStore
        init_parameters: {sizes: !!python/tuple [1, 2]}
  writer:
    type: mine.writers.Writer
connections:
- sender: finder.documents
  receiver: writer.documents
"""
ENGINE = """
from llama_index.core import VectorStoreIndex
def build(documents):
    import bm25s
    return VectorStoreIndex.from_documents(documents).as_query_engine()
"""


def foreign(kind: str, **values: str) -> dict[str, Any]:
    """A node as an editor adds it to a flow, with these values."""
    frontend = adapters()[kind].shape.frontend
    template: dict[str, Any] = {
        name: {**field, "value": values.get(name, field["value"])} if isinstance(field, dict) else field
        for name, field in frontend["template"].items()
    }
    raw = node("ask", kind, code=None)
    raw["data"]["node"] |= {**frontend, "template": template}
    return raw


def haystack(pipeline: str = PIPELINE, **values: str) -> Flow:
    return flow_of(foreign("HaystackPipeline", pipeline=pipeline, **values))


def engine(source: str = ENGINE) -> Flow:
    return flow_of(foreign("LlamaIndexEngine", source=source))


def imports(flow: Flow) -> Imports:
    adapter = adapter_of(flow.nodes[0])
    assert adapter is not None
    return adapter.imports(flow.nodes[0])


def errors(flow: Flow) -> Mapping[str | None, str]:
    """Messages of the errors by field."""
    return {found.field: found.message for found in check(flow, {}) if found.severity == "error"}


def test_a_node_that_brings_a_components_source_is_langflows_whatever_it_is_called() -> None:
    flow = flow_of(node("a", "HaystackPipeline"), node("b", "HaystackPipeline", code=None), node("c", code=None))

    owners: list[object] = [adapter_of(one) for one in flow.nodes]

    assert owners == [None, adapters()["HaystackPipeline"], None]


def test_a_pipeline_needs_the_modules_of_its_classes_and_perhaps_those_in_parameters() -> None:
    read = imports(haystack())

    assert read.needed == {"haystack", "haystack.components.retrievers.in_memory.bm25_retriever", "mine.writers"}
    assert read.later == {"haystack_integrations.document_stores.qdrant.document_store"}


def test_an_engine_needs_what_its_source_imports() -> None:
    assert imports(engine()) == Imports(needed=frozenset({"llama_index.core"}), later=frozenset({"bm25s"}))


@pytest.mark.parametrize("flow", [haystack(text_to="finder.query", answer_from="writer.out"), engine()])
def test_what_can_work_has_no_findings(flow: Flow) -> None:
    assert check(flow, {}) == ()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("", "has no pipeline"),
        ("a: [", "no YAML"),
        ("a: !!python/object:os.system {}", "no YAML"),
        ("[1, 2]", "no `components`"),
        ("components: {}", "no `components`"),
        ("components: {a: {type: Writer}}", "component `a` has no `type` with a module"),
        ("components: {a: 1}", "component `a` has no `type` with a module"),
        ("components: {a: {type: m.A}}\nconnections: [{sender: a.x, receiver: ab.y}]", "`ab`, which is not in"),
        ("components: {a: {type: m.A}}\nconnections: [{sender: a.x}]", "no `receiver`"),
        ("components: {a: {type: m.A}}\nconnections: 7", "`connections` are not a list"),
        ("- - a\n" * 20_000, "more than 20,000 parts"),
        ("x" * (MOST_CHARS + 1), "longer than 128 KiB"),
        *((text * 20_000, "nested more than 100 levels") for text in ("[", "- ", "? ")),
    ],
)
def test_a_pipeline_that_cannot_work_is_refused_by_node_and_field(pipeline: str, said: str) -> None:
    found = errors(haystack(pipeline))

    assert found["pipeline"].startswith("`ask`: ")
    assert said in found["pipeline"]


@pytest.mark.parametrize(
    ("text_to", "said"),
    [
        ("find.query", "`find`, which is not in the pipeline. Did you mean `finder`?"),
        ("query", "no `component.socket`"),
    ],
)
def test_a_field_that_names_what_the_pipeline_has_not_is_refused(text_to: str, said: str) -> None:
    assert said in errors(haystack(text_to=text_to))["text_to"]


def test_a_field_that_names_much_that_the_pipeline_has_not_gets_only_so_many_hints() -> None:
    findings = check(haystack(text_to=",".join(["find.query"] * 1_000)))

    assert sum("Did you mean" in finding.message for finding in findings) == 250


@pytest.mark.parametrize(
    ("source", "said"),
    [("", "no source"), ("def build(:", "broken"), ("x = 1", "no function `build`"), ("#" * 140_000, "128 KiB")],
)
def test_a_source_that_builds_nothing_is_refused(source: str, said: str) -> None:
    assert said in errors(engine(source))["source"]


@pytest.mark.parametrize("source", ["build = make()", "from mine import make as build", "async def build(): ..."])
def test_a_source_may_come_by_its_build_in_any_way(source: str) -> None:
    assert errors(engine(source)) == {}


def test_a_bomb_of_aliases_is_read_in_no_time() -> None:
    layers = "\n".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))
    bomb = f"x:\n  l0: &l0 [1]\n{layers}\ncomponents:\n  a: {{type: m.A, init_parameters: {{x: *l29}}}}"

    assert imports(haystack(bomb)).needed == {"haystack", "m"}


@pytest.mark.parametrize("field", ["pipeline", "text_to", "answer_from", "inputs"])
def test_no_caller_changes_what_a_pipeline_is_or_where_texts_go(field: str) -> None:
    with pytest.raises(TweakRefusedError, match=field):
        tweak(haystack(), {"ask": {field: "prompt.template"}})


def test_no_caller_changes_a_source() -> None:
    with pytest.raises(TweakRefusedError, match="source"):
        tweak(engine(), {"ask": {"source": "import os"}})


def test_a_node_that_no_adapter_and_no_component_knows_is_still_unknown() -> None:
    flow = flow_of(node("a", "HaystackPipelin", code=None))

    assert "Did you mean `HaystackPipeline`?" in errors(flow)[None]
