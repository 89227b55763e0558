"""Chat messages and sessions over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flowray.stores.chats import ChatMessage
from tests.unit.serve.service import OTHER_KEY, Service, service

PATH = "/api/v1/monitor/messages"
FLOW = "33333333-3333-4333-8333-333333333333"


async def with_messages() -> Service:
    """A service with two things said in each of two sessions."""
    made = service()
    for at, (session, text) in enumerate([("a", "one"), ("a", "two"), ("b", "three"), ("b", "four")]):
        body: dict[str, Any] = {
            "text": text,
            "sender": "User" if at % 2 == 0 else "Machine",
            "session_id": session,
            "files": [],
        }
        message = ChatMessage(id=str(uuid.UUID(int=at)), flow=FLOW, session=session, at=float(at), body=body)
        await made.services.chats.add("default", [message])
    return made


async def texts(made: Service, query: str = "") -> list[str]:
    return [one["text"] for one in (await made.http.get(f"{PATH}?{query}")).json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["one", "two", "three", "four"]),
        ("session_id=a", ["one", "two"]),
        ("sender=Machine", ["two", "four"]),
        ("order=DESC", ["four", "three", "two", "one"]),
        ("limit=2", ["three", "four"]),
        ("limit=2&offset=1", ["two", "three"]),
        ("order_by=text", ["four", "one", "three", "two"]),
        (f"flow_id={FLOW}&session_id=b", ["three", "four"]),
        ("flow_id=00000000-0000-4000-8000-00000000dead", []),
    ],
)
async def test_messages_are_listed_as_asked(query: str, expected: list[str]) -> None:
    assert await texts(await with_messages(), query) == expected


async def test_a_message_has_langflows_fields() -> None:
    made = await with_messages()
    (message, *_) = (await made.http.get(PATH)).json()
    assert (message["flow_id"], message["files"], message["edit"]) == (FLOW, "[]", False)


async def test_sessions_are_listed_renamed_and_deleted() -> None:
    made = await with_messages()
    assert (await made.http.get(f"{PATH}/sessions")).json() == ["b", "a"]
    renamed = (await made.http.patch(f"{PATH}/session/a?new_session_id=c")).json()
    assert [one["session_id"] for one in renamed] == ["c", "c"]
    assert (await made.http.delete(f"{PATH}/session/c")).status_code == 204
    deleted = await made.http.request("DELETE", f"{PATH}/sessions", json=["b", "gone"])
    assert deleted.json()["deleted_count"] == 1
    assert await texts(made) == []


async def test_a_message_is_edited_and_deleted() -> None:
    made = await with_messages()
    message = str(uuid.UUID(int=0))
    edited = (await made.http.put(f"{PATH}/{message}", json={"text": "new"})).json()
    assert (edited["text"], edited["edit"]) == ("new", True)
    assert (await made.http.request("DELETE", PATH, json=[message])).status_code == 204
    assert await texts(made) == ["two", "three", "four"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/00000000-0000-4000-8000-00000000dead", 404),
        ("PATCH", "/session/gone?new_session_id=x", 404),
        ("DELETE", "/session/gone", 204),
    ],
)
async def test_what_is_not_there_is_said_as_langflow_says_it(method: str, path: str, status: int) -> None:
    assert (await (await with_messages()).http.request(method, PATH + path, json={})).status_code == status


@pytest.mark.parametrize("body", [None, {}, ["no-uuid"]])
async def test_what_is_no_list_of_ids_is_refused(body: Any) -> None:
    assert (await service().http.request("DELETE", PATH, json=body)).status_code == 422


async def test_another_tenant_reads_none_of_it() -> None:
    made, key = await with_messages(), {"x-api-key": OTHER_KEY}
    assert (await made.http.get(PATH, headers=key)).json() == []
    assert (await made.http.get(f"{PATH}/sessions", headers=key)).json() == []
    put = await made.http.put(f"{PATH}/{uuid.UUID(int=0)}", json={"text": "x"}, headers=key)
    assert put.status_code == 404
