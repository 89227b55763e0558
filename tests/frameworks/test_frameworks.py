"""Nodes of other frameworks over HTTP: real pipelines and engines, in images of their own, between Langflow's nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import flowray
import flowray_serve
from tests.kit.door import Door, Refused, run_body
from tests.kit.llm import Llm

FOLDER = Path(flowray_serve.__file__).with_name("examples") / "frameworks"
Example = Callable[..., dict[str, Any]]
# The first one builds two images and waits for three pools.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session")
def example(frameworks: Door, llm: Llm) -> Example:
    """An example flow, with texts of it replaced; its model is the tests' own."""
    expanded = flowray.expand({file.stem: file.read_text() for file in FOLDER.glob("*.flow")})

    def changed(name: str, replaced: Mapping[str, str] | None = None) -> dict[str, Any]:
        text = json.dumps(expanded[name])
        for old, new in {"https://api.openai.com/v1": llm.base_url, **(replaced or {})}.items():
            text = text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
        return dict(json.loads(text))

    return changed


def events_of(door: Door, flow: str, text: str) -> list[dict[str, Any]]:
    """A streamed run, as Langflow's clients read it."""
    with door.http.stream("POST", f"/api/v1/run/{flow}?stream=true", json=run_body(text)) as response:
        lines = [line for line in response.iter_lines() if line.strip()]
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith(("{", "data:"))]


def journal(door: Door, run: str) -> dict[str, Any]:
    told: dict[str, Any] = door.http.get(f"/api/v1/runs/{run}").json()
    return told


def test_a_pipeline_asks_a_model_and_runs_where_its_packages_are(frameworks: Door, example: Example, llm: Llm) -> None:
    answer = frameworks.run(frameworks.publish(example("haystack")), "Why is it late?")

    runners = {node["node"].partition("-")[0]: node["runner"] for node in frameworks.timeline(answer.run)}
    assert "Answer in two sentences: Why is it late?" in answer.text
    assert llm.requests[-1]["model"] == "gpt-4o-mini"
    assert runners["HaystackPipeline"] != runners["ChatOutput"] == runners["ChatInput"]


def test_a_pipeline_finds_documents_that_langflows_nodes_have_split(frameworks: Door, example: Example) -> None:
    flow = frameworks.publish(example("retrieval"))

    answers = [frameworks.run(flow, question).text.strip() for question in ("the harbour", "a lantern")]

    assert answers == ["Grace opens the harbour at six.", "Order two ropes and a lantern."]


def test_a_query_engine_answers_from_its_index(frameworks: Door, example: Example) -> None:
    answer = frameworks.run(frameworks.publish(example("llamaindex")), "Why?")

    assert "Rivers bend as their outer bank wears away." in answer.text


def test_a_workflow_answers_with_its_result(frameworks: Door, example: Example) -> None:
    answer = frameworks.run(frameworks.publish(example("workflow")), "one two three")

    assert answer.text == "3 words"


@pytest.mark.parametrize(
    ("name", "said"), [("haystack", "Answer in two sentences: Hm?"), ("llamaindex", "outer bank"), ("workflow", "Hm? ")]
)
def test_what_is_said_is_streamed_to_a_chat_in_another_sandbox(
    frameworks: Door, example: Example, name: str, said: str
) -> None:
    events = events_of(frameworks, frameworks.publish(example(name)), "Hm?")

    tokens = "".join(event["data"]["chunk"] for event in events if event["event"] == "token")
    machine = [
        event["data"] for event in events if event["event"] == "add_message" and event["data"]["sender"] != "User"
    ]
    assert said in tokens
    assert len({message["id"] for message in machine}) == 1
    assert events[-1]["event"] == "end"


@pytest.mark.parametrize(("name", "model"), [("haystack", "gpt-4o-mini"), ("llamaindex", "gpt-4o-mini")])
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_frameworks_models_use_is_counted(
    frameworks: Door, example: Example, name: str, model: str, *, stream: bool
) -> None:
    flow = frameworks.publish(example(name))
    before = used(frameworks, model)

    _ = events_of(frameworks, flow, "Hm?") if stream else frameworks.run(flow, "Hm?")

    assert used_beyond(frameworks, model, before)


def used_beyond(door: Door, model: str, before: int) -> bool:
    """Whether more is on record; usage is folded from a journal after its run has answered."""
    deadline = time.monotonic() + 60
    while used(door, model) <= before and time.monotonic() < deadline:
        time.sleep(0.1)
    return used(door, model) > before


def used(door: Door, model: str) -> int:
    rows = door.http.get("/api/v1/usage", params={"by": "model"}).json()["usage"]
    return sum(row["output_tokens"] for row in rows if row["model"] == model)


BROKEN = {
    "a component that fails": (
        "haystack",
        {"{{ question }}": "{{ question / 2 }}"},
        ["HaystackPipeline-Pipeline", "Component `prompt` (ChatPromptBuilder)", "unsupported operand"],
    ),
    "a class that is not there": ("haystack", {"ChatPromptBuilder\n": "PromptBuilder\n"}, ["PromptBuilder", "prompt"]),
    "a wire to no socket": ("haystack", {"llm.messages": "llm.nothing"}, ["HaystackPipeline-Pipeline", "nothing"]),
    "a model that refuses": ("haystack", {"OPENAI_API_KEY": "OPENAI_BASE_URL"}, ["`llm`", "Incorrect API key"]),
    "a build that fails": ("workflow", {"Count(timeout=10)": "1 / 0"}, ["LlamaIndexEngine-Count", "division by zero"]),
    "a build of something else": ("workflow", {"Count(timeout=10)": "7"}, ["returned a int", "query engine"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_fails_is_told_with_node_and_component(frameworks: Door, example: Example, case: str) -> None:
    name, replaced, said = BROKEN[case]
    flow = frameworks.publish(example(name, replaced))

    with pytest.raises(Refused) as refused:
        frameworks.run(flow, "Hm?")

    problem = refused.value.problem
    assert problem["fault"] == "component"
    for part in said:
        assert part in problem["detail"], problem


def test_a_hopeless_pipeline_is_found_when_it_is_published(frameworks: Door, example: Example) -> None:
    flow = example("haystack", {"llm.messages": "lm.messages"})

    answer = frameworks.http.post("/api/v1/flows/", json={"name": "Hopeless", "data": flow["data"]}).json()

    (found,) = [finding for finding in answer["findings"] if finding["severity"] == "error"]
    assert (found["code"], found["node"], found["field"]) == ("bad_definition", "HaystackPipeline-Pipeline", "pipeline")
    assert "`lm`, which is not in the pipeline. Did you mean `llm`?" in found["message"]


@pytest.mark.parametrize("way", ["open('/etc/shadow')", "__import__('socket').create_connection(('1.1.1.1', 80), 5)"])
def test_the_walls_hold_in_these_images_too(frameworks: Door, example: Example, way: str) -> None:
    flow = frameworks.publish(example("workflow", {"    return Count(": f"    {way}\n    return Count("}))

    with pytest.raises(Refused) as refused:
        frameworks.run(flow, "Hm?")

    assert refused.value.problem["error_type"] in {"PermissionError", "FileNotFoundError", "OSError"}


def test_a_pipeline_connects_to_nobody_but_its_model(frameworks: Door, example: Example, llm: Llm) -> None:
    run = frameworks.run(frameworks.publish(example("haystack")), "Hm?").run

    connections = journal(frameworks, run)["connections"]
    assert {f"{one['host']}:{one['port']}" for one in connections} == {llm.host}


def test_a_service_without_such_a_pool_refuses_the_flow_and_says_which_would_do(door: Door, example: Example) -> None:
    with pytest.raises(Refused) as refused:
        door.publish(example("haystack"))

    problem = refused.value.problem
    assert (problem["status"], problem["code"]) == (422, "missing_package")
    assert 'FLOWRAY_POOLS=\'{"default": {}, "haystack": {"image": "haystack"}}\'' in problem["detail"]


def test_an_editor_is_offered_the_nodes(frameworks: Door) -> None:
    offered = frameworks.http.get("/api/v1/all").json()["frameworks"]

    assert set(offered) == {"HaystackPipeline", "LlamaIndexEngine"}
    assert [output["name"] for output in offered["HaystackPipeline"]["outputs"]] == ["text", "documents", "outputs"]
