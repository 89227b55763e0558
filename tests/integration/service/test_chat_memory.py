"""What was said in a session is known in its next run: over HTTP, through a sandbox, out of the stores."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.door import Door, run_body
from tests.kit.llm import Llm
from tests.kit.starters import model_tweaks, starters


@pytest.fixture(scope="session")
def chatbot(door: Door) -> str:
    return door.publish(starters()["Memory Chatbot"])


def say(door: Door, llm: Llm, flow: str, text: str, *, session: str) -> list[dict[str, Any]]:
    """Say something to the chatbot; gives what its model was sent."""
    llm.requests.clear()
    body = run_body(text, tweaks=model_tweaks(starters()["Memory Chatbot"]), variables=llm.variables)
    response = door.http.post(f"/api/v1/run/{flow}", json=body | {"session_id": session})
    assert response.status_code == 200, response.text
    return list(llm.requests)


def test_a_chatbot_remembers_what_was_said_in_its_session(door: Door, llm: Llm, chatbot: str) -> None:
    say(door, llm, chatbot, "My name is Ada.", session="ada")

    again = json.dumps(say(door, llm, chatbot, "What is my name?", session="ada"))

    assert "My name is Ada." in again
    assert '"role": "assistant"' in again


def test_a_chatbot_knows_nothing_of_other_sessions_and_other_flows(door: Door, llm: Llm, chatbot: str) -> None:
    say(door, llm, chatbot, "My name is Bob.", session="bob")
    other = door.publish(starters()["Memory Chatbot"])

    assert "Bob" not in json.dumps(say(door, llm, chatbot, "Who am I?", session="eve"))
    assert "Bob" not in json.dumps(say(door, llm, other, "Who am I?", session="bob"))
