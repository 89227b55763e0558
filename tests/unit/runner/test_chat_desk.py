"""What a run says in a chat: kept whole, or cut to what a chat can keep."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from flowray.errors import InvalidRequestError
from flowray.runner.asking import Ask
from flowray.runner.chat_desk import ChatDesk
from flowray.stores.chats import MemoryChats, Wanted
from tests.unit.runner.steps import request_of


async def kept(**said: Any) -> dict[str, Any]:
    chats = MemoryChats()
    message = {"id": str(uuid4()), "session_id": "s", "timestamp": "2026-01-01 00:00:00 UTC", **said}
    await ChatDesk(chats).note(request_of(), [Ask(what="messages", details={"keep": [message]}, blob=None)])
    (found,) = await chats.find("acme", Wanted(flow="f1"))
    return dict(found.body)


async def test_a_message_is_kept_whole() -> None:
    assert (await kept(text="x" * 900_000))["text"] == "x" * 900_000


@pytest.mark.parametrize(("texts", "first"), [(1, 200_000), (20, 20_000), (200, 2_000)])
async def test_of_a_message_that_is_too_long_the_texts_are_cut_as_far_as_they_must_be(texts: int, first: int) -> None:
    found = await kept(text="x" * 9_000_000, content_blocks=[{"contents": ["y" * 1_000_000] * (texts - 1)}])

    assert found["text"] == "x" * first + f"… [9,000,000 characters; a chat keeps the first {first:,}]"
    assert len(found["content_blocks"][0]["contents"]) == texts - 1


async def test_a_message_that_is_too_long_without_its_texts_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="keep large content in a file"):
        await kept(text="", properties={"numbers": list(range(500_000))})
