"""The bodies of OpenAI's API, as far as a flow has a use for them; what it has none for is left unread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flowray_serve.bodies.run import NAME_LIMIT

_MESSAGES_LIMIT = 2_000


class ResponsesBody(BaseModel):
    """`POST /api/v1/responses`, in the fields that Langflow reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = Field(max_length=NAME_LIMIT, description="The flow to run, by id or endpoint name.")
    input: str = Field(description="Goes to the flow's chat input.")
    stream: bool = False
    background: bool = False
    tools: Sequence[Any] | None = Field(None, description="Refused: a flow has its own tools.")
    previous_response_id: str | None = Field(None, max_length=NAME_LIMIT, description="Goes on with its conversation.")
    include: Sequence[str] | None = Field(None, description="`tool_call.results` adds what tools gave.")


class ChatMessageBody(BaseModel):
    """One message of a conversation; its content is a text, or parts of which the texts count."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: str = Field(max_length=NAME_LIMIT)
    content: str | Sequence[Mapping[str, Any]] | None = None

    @property
    def text(self) -> str:
        """All its text."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join(str(part["text"]) for part in self.content if part.get("text") is not None)


class StreamOptions(BaseModel):
    """What a stream tells beside its text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    include_usage: bool = False


class ChatCompletionBody(BaseModel):
    """`POST /v1/chat/completions`: the last user message is the flow's input, those before it its chat memory."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = Field(max_length=NAME_LIMIT, description="The flow to run, by id or endpoint name.")
    messages: Sequence[ChatMessageBody] = Field(min_length=1, max_length=_MESSAGES_LIMIT)
    stream: bool = False
    stream_options: StreamOptions = Field(default_factory=StreamOptions)
    tools: Sequence[Any] | None = Field(None, description="Refused: a flow has its own tools.")
    n: Literal[1] | None = None
    session_id: str | None = Field(None, max_length=NAME_LIMIT, description="A chat memory to use, beyond OpenAI's.")
