"""Chat completions: what clients of OpenAI's API leave empty."""

from __future__ import annotations

from flowray.stores.chats import Wanted
from tests.unit.serve.service import ECHO, service


async def test_an_empty_session_is_none_and_what_was_said_before_is_remembered() -> None:
    made = service()
    flow = await made.publish(ECHO)
    said = [("user", "My name is Ada."), ("assistant", "Hello Ada."), ("user", "Who am I?")]
    messages = [{"role": role, "content": content} for role, content in said]
    await made.http.post("/v1/chat/completions", json={"model": flow, "messages": messages, "session_id": ""})

    request = made.steps.requests[-1]
    kept = await made.services.chats.find("default", Wanted(flow=flow, session=request.session))
    assert [one.body["text"] for one in kept] == ["My name is Ada.", "Hello Ada."]
