"""The example flows that FlowRay ships: each runs, and shows what it is there to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.door import Door, Refused, run_body
from tests.kit.examples import NAMES, example, example_file
from tests.kit.llm import Llm
from tests.kit.reference import Reference
from tests.kit.service import Service


@pytest.fixture
def examples(reference: Reference) -> dict[str, dict[str, Any]]:
    return {name: reference.expand(example(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_answers_what_lfx_answers(
    name: str, examples: dict[str, dict[str, Any]], door: Door, reference: Reference, llm: Llm
) -> None:
    flow = examples[name]

    flow_id = door.publish(flow)

    answer = door.run(flow_id, variables=llm.variables)

    assert answer.texts == reference.run(flow | {"id": flow_id}, variables=llm.variables).texts


@pytest.mark.parametrize(
    ("message", "answer"), [("urgent: fire", "Paged the engineer:"), ("soup", "Filed for Monday:")]
)
def test_a_router_takes_one_branch_and_stops_the_other(
    message: str, answer: str, examples: dict[str, dict[str, Any]], door: Door
) -> None:
    flow_id = door.publish(examples["router"])

    answered = door.run(flow_id, message)

    assert answered.text == f"{answer} {message}"
    assert sorted(door.statuses(answered.run).values()) == ["finished"] * 4 + ["stopped"] * 2


def test_a_loop_runs_its_body_once_for_each_item(examples: dict[str, dict[str, Any]], door: Door) -> None:
    flow_id = door.publish(examples["loop"])

    answered = door.run(flow_id, "one\ntwo\nthree\nfour")

    assert answered.text.splitlines() == ["Packed: one", "Packed: two", "Packed: three", "Packed: four"]


def test_tokens_arrive_before_the_answer(examples: dict[str, dict[str, Any]], door: Door, llm: Llm) -> None:
    flow_id = door.publish(examples["chat"])
    body = run_body("Why is the sky blue?", variables=llm.variables)

    with door.http.stream("POST", f"/api/v1/run/{flow_id}", params={"stream": "true"}, json=body) as response:
        frames = [json.loads(line) for line in response.iter_lines() if line.strip()]

    kinds = [frame["event"] for frame in frames]
    tokens = [frame["data"]["chunk"] for frame in frames if frame["event"] == "token"]
    answer = frames[-1]["data"]["result"]["outputs"][0]["outputs"][0]["results"]["message"]["text"]
    assert kinds[-1] == "end"
    assert len(tokens) > 1
    assert "".join(tokens) == answer


def test_a_secret_of_a_run_shows_up_nowhere_in_its_answer(
    examples: dict[str, dict[str, Any]], door: Door, llm: Llm
) -> None:
    flow_id = door.publish(examples["chat"])

    response = door.http.post(f"/api/v1/run/{flow_id}", json=run_body("hello", variables=llm.variables))

    run = response.headers["x-flowray-run"]
    journal = door.http.get(f"/api/v1/runs/{run}/events").text
    assert llm.variables["OPENAI_API_KEY"] not in response.text
    assert llm.variables["OPENAI_API_KEY"] not in journal


@pytest.mark.parametrize("name", NAMES)
def test_the_service_draws_what_lfx_draws(name: str, examples: dict[str, dict[str, Any]], door: Door) -> None:
    drawn, known = door.expand(example(name)), examples[name]

    # lfx makes up its ids; here they say what the text calls the nodes.
    text = json.dumps(known)
    for ours, theirs in zip(drawn["data"]["nodes"], known["data"]["nodes"], strict=True):
        assert ours["id"].rpartition("-")[2] in example(name)
        text = text.replace(theirs["id"], ours["id"])
    assert drawn == json.loads(text)


def test_a_compact_flow_is_published_as_it_is(door: Door, service: Service) -> None:
    done = service.flowray("publish", str(example_file("router")), "--json")

    (published,) = json.loads(done.stdout)
    assert door.run(published["id"], "soup").text == "Filed for Monday: soup"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nodes:\n  A: NoSuchThing\n", "Unknown component types: ['NoSuchThing']"),
        ("nodes:\n  A: ChatInput\n\nedges:\n  A.message -> B.input_value\n", "B"),
        ("nodes:\n  A: ChatInput\n  A: ChatOutput\n", "named twice: A"),
        ("", "The flow cannot be built"),
        ("{}", "The flow cannot be built"),
    ],
)
def test_a_compact_flow_that_cannot_be_drawn_is_its_author_s_fault(
    spec: str, says: str, door: Door, service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "bad.flow"
    file.write_text(spec)

    with pytest.raises(Refused) as refused:
        door.expand(spec)
    told = service.flowray("publish", str(file))

    assert (refused.value.status, refused.value.problem["code"]) == (422, "flow_format")
    assert says in refused.value.problem["detail"]
    assert told.returncode == 2
    assert says in told.stderr
