"""Langflow's own starter flows, in one step each: the same text as lfx gives, or the same clear error."""

from __future__ import annotations

import pytest

from tests.integration.inside.flows import FLOW_ID, Flow, spec_of
from tests.integration.inside.host import Inside
from tests.kit import reference as lfx
from tests.kit.llm import Llm
from tests.kit.starters import model_tweaks, nodes_of, starters, with_values

# What they lack is named by the error: a file, a database, a package, a key.
LACKING = {
    "Content Aggregator": "User ID",
    "Document Q&A": "User ID",
    "Financial Report Parser": "No files",
    "Hybrid Search RAG": "",
    "Knowledge Retrieval": "User ID",
    "Meeting Summary": "",
    "Portfolio Website Code Generator": "No files",
    "Text Sentiment Analysis": "No files",
    "Vector Store RAG": "User ID",
}
QUESTION = "What is 6 * 7?"


def ready(name: str) -> Flow:
    """The starter with a model chosen."""
    starter = starters()[name]
    return {**with_values(starter, model_tweaks(starter)), "id": FLOW_ID}


@pytest.mark.parametrize("name", sorted(set(starters()) - set(LACKING)))
def test_a_starter_gives_the_text_that_lfx_gives(inside: Inside, llm: Llm, reference: lfx.Reference, name: str) -> None:
    flow = ready(name)
    expected = reference.run(flow, QUESTION, variables=llm.variables, remembers=False).texts

    heard = inside.do(spec_of(flow, variables=llm.variables, inputs={"input_value": QUESTION, "input_type": "chat"}))

    assert heard.error is None, heard.error
    assert {node: heard.text(node) for node in nodes_of(flow, "ChatOutput")} == expected


@pytest.mark.parametrize(("name", "said"), LACKING.items())
def test_a_starter_that_lacks_something_fails_where_lfx_does(
    inside: Inside, llm: Llm, reference: lfx.Reference, name: str, said: str
) -> None:
    flow = ready(name)
    with pytest.raises(lfx.ReferenceError):
        reference.run(flow, QUESTION, variables=llm.variables)

    heard = inside.do(spec_of(flow, variables=llm.variables, inputs={"input_value": QUESTION, "input_type": "chat"}))

    assert heard.error is not None
    assert heard.error["kind"] == "component"
    assert heard.error["node"]
    assert said in heard.error["error"]


def test_a_tool_call_really_calls_the_tool(inside: Inside, llm: Llm) -> None:
    flow = ready("Simple Agent")

    heard = inside.do(spec_of(flow, variables=llm.variables, inputs={"input_value": QUESTION, "input_type": "chat"}))

    (out,) = nodes_of(flow, "ChatOutput")
    assert "The tool said" in heard.text(out)


@pytest.mark.parametrize("name", ["Basic Prompting", "Simple Agent"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_first_call_to_a_model_has_nothing_left_to_import(
    inside: Inside, llm: Llm, name: str, *, stream: bool
) -> None:
    inputs = {"input_value": QUESTION, "input_type": "chat"}
    spec = spec_of(ready(name), variables=llm.variables, inputs=inputs, stream=stream)

    heard = inside.do({**spec, "preload_report": True})

    assert heard.result is not None, heard.error
    assert heard.result.get("imported", []) == []
