"""Langflow's own starter flows, unchanged, through HTTP: what lfx answers, FlowRay answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.door import Door, Refused
from tests.kit.llm import Llm
from tests.kit.reference import Reference
from tests.kit.starters import model_tweaks, nodes_of, starters, with_source
from tests.kit.web import PAPERS, Web, at_this_web

QUESTION = "Tell me about rivers"
NOTES = b"Revenue rose to 42 million.\n"

RUNNING = (
    "Basic Prompting",
    "Blog Writer",
    "Custom Component Generator",
    "Deep Research Agent",
    "Image Sentiment Analysis",
    "Instagram Copywriter",
    "Market Research",
    "Memory Chatbot",
    "Multi Agent Flow",
    "Price Deal Finder",
    "Research Translation Loop",
    "SEO Keyword Generator",
    "SaaS Pricing",
    "Sequential Tasks Agents",
    "Simple Agent",
    "Social Media Agent",
    "Travel Planning Agents",
    "Twitter Thread Generator",
)
NEEDING_A_FILE = ("Financial Report Parser", "Portfolio Website Code Generator", "Text Sentiment Analysis")
# Its agents run side by side in one session, and each is told what was said before: by whom depends on who was first.
ORDER_MATTERS = "Text Sentiment Analysis"
# Keeps what it writes with the tenant's files, which lfx alone cannot.
WRITING = "Content Aggregator"
# Flow -> the nodes that cannot run here, and the word that says what they miss.
LACKING = {
    "Document Q&A": ({"KnowledgeRetrieve-docqa"}, "knowledge base"),
    "Hybrid Search RAG": ({"AstraDB-hsri", "AstraDB-AkDya"}, "astrapy"),
    "Knowledge Retrieval": ({"Knowledge-Y8gm2"}, "knowledge base"),
    "Meeting Summary": ({"AAITranscriber-ms"}, "assemblyai"),
    "Vector Store RAG": ({"Knowledge-vLJOb"}, "knowledge base"),
}


def prepared(name: str, web: Web) -> dict[str, Any]:
    """The starter, with arXiv looked for on the test web."""
    flow = starters()[name]
    for node in nodes_of(flow, "ArXivComponent"):
        flow = with_source(flow, node, at_this_web(web))
    return flow


def publish_and_run(door: Door, flow: dict[str, Any], llm: Llm) -> None:
    flow_id = door.publish(flow)
    path = door.upload(flow_id, "notes.txt", NOTES)
    tweaks = model_tweaks(flow) | {node: {"path": [path]} for node in nodes_of(flow, "File")}
    door.run(flow_id, QUESTION, tweaks=tweaks, variables=llm.variables)


def test_every_starter_is_accounted_for() -> None:
    assert sorted(starters()) == sorted((*RUNNING, *NEEDING_A_FILE, WRITING, *LACKING))


@pytest.mark.parametrize("name", RUNNING)
def test_a_starter_answers_what_lfx_answers(name: str, door: Door, reference: Reference, llm: Llm, web: Web) -> None:
    flow = prepared(name, web)
    tweaks = model_tweaks(flow)
    expected = reference.run(flow, QUESTION, tweaks=tweaks, variables=llm.variables)

    answer = door.run(door.publish(flow), QUESTION, tweaks=tweaks, variables=llm.variables)

    assert answer.texts == expected.texts


@pytest.mark.parametrize("name", NEEDING_A_FILE)
def test_a_starter_reads_an_uploaded_file(name: str, door: Door, reference: Reference, llm: Llm) -> None:
    flow = starters()[name]
    flow_id = door.publish(flow)
    path = door.upload(flow_id, "notes.txt", NOTES)
    tweaks = model_tweaks(flow) | {node: {"path": [path]} for node in nodes_of(flow, "File")}

    answer = door.run(flow_id, QUESTION, tweaks=tweaks, variables=llm.variables)

    same = flow | {"id": flow_id}
    expected = reference.run(same, QUESTION, tweaks=tweaks, variables=llm.variables, files={path: NOTES})
    assert answer.texts.keys() == expected.texts.keys()
    assert all(answer.texts.values())
    assert name == ORDER_MATTERS or answer.texts == expected.texts


@pytest.mark.parametrize("name", sorted(LACKING))
def test_a_starter_that_cannot_run_here_says_which_node_lacks_what(name: str, door: Door, llm: Llm, web: Web) -> None:
    flow = prepared(name, web)
    nodes, missing = LACKING[name]

    with pytest.raises(Refused) as refused:
        publish_and_run(door, flow, llm)

    problem = refused.value.problem
    assert problem["code"] in {"component_failed", "flow_invalid", "missing_package"}
    assert any(node in problem["detail"] for node in nodes)
    assert missing in problem["detail"].lower()


def test_a_starter_keeps_the_file_that_it_writes(door: Door, llm: Llm) -> None:
    flow = starters()[WRITING]
    before = [file["id"] for file in door.http.get("/api/v2/files").json()]

    answer = door.run(door.publish(flow), QUESTION, tweaks=model_tweaks(flow), variables=llm.variables)

    (kept,) = [file["id"] for file in door.http.get("/api/v2/files").json() if file["id"] not in before]
    assert door.http.get(f"/api/v2/files/{kept}").json()["message"] == answer.text


def test_an_agent_really_calls_its_tools(door: Door, llm: Llm, web: Web) -> None:
    flow = starters()["Travel Planning Agents"]
    flow_id = door.publish(flow)
    llm.requests.clear()
    web.reads.clear()

    door.run(flow_id, QUESTION, tweaks=model_tweaks(flow), variables=llm.variables)

    assert set(llm.called()) == {"perform_search", "fetch_content", "evaluate_expression"}
    assert sorted(web.reads) == ["/feed", "/page"]


def test_a_loop_runs_its_body_once_for_each_paper(door: Door, llm: Llm, web: Web) -> None:
    flow = prepared("Research Translation Loop", web)
    flow_id = door.publish(flow)
    llm.requests.clear()

    answer = door.run(flow_id, QUESTION, tweaks=model_tweaks(flow), variables=llm.variables)

    assert len(llm.requests) == len(PAPERS)
    assert [title for title in PAPERS if f"Title: {title}" in answer.text] == list(PAPERS)
