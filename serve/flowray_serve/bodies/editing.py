"""What an editor sends: source to look at, a field that was changed, a prompt, a flow in short, one to build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from flowray_serve.bodies.run import NAME_LIMIT

CODE_LIMIT = 1024 * 1024

_Code = Annotated[str, StringConstraints(max_length=CODE_LIMIT)]
_Name = Annotated[str, StringConstraints(max_length=NAME_LIMIT)]


class _Sent(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CodeBody(_Sent):
    """A component's source."""

    code: _Code


class ComponentBody(CodeBody):
    """A component's source, and the node it replaces."""

    frontend_node: Mapping[str, Any] | None = None


class ComponentChange(ComponentBody):
    """A field of a node that got a new value."""

    template: Mapping[str, Any]
    field: _Name
    field_value: Any = None
    tool_mode: bool = False


class PromptBody(_Sent):
    """A prompt with its node, which gets a field for each variable."""

    name: _Name
    template: _Code
    frontend_node: Mapping[str, Any] | None = None
    mustache: bool = False


class ExpandBody(_Sent):
    """A flow in lfx's compact form: a text of nodes, edges and values."""

    spec: _Code


class RunInput(_Sent):
    """One input of a run: for these components, by id or name; for all inputs of its type without any."""

    components: Sequence[_Name] | None = Field(None, max_length=1_000)
    input_value: str | None = None
    session: _Name | None = None
    type: Literal["chat", "text", "any"] | None = "any"


class AdvancedRunBody(_Sent):
    """A run for each input; `outputs` are those that answer, by id or name."""

    inputs: Sequence[RunInput] | None = Field(None, max_length=100)
    outputs: Sequence[_Name] | None = Field(None, max_length=1_000)
    tweaks: Mapping[str, Any] | None = None
    stream: bool = False
    session_id: _Name | None = None


class BuildBody(_Sent):
    """A flow to build in the editor: the saved one, or this canvas."""

    inputs: RunInput | None = None
    data: Mapping[str, Any] | None = None
    files: Sequence[str] | None = Field(None, max_length=1_000)


class MessageChange(_Sent):
    """The fields of a chat message to change."""

    text: str | None = Field(None, max_length=CODE_LIMIT)
    sender: _Name | None = None
    sender_name: _Name | None = None
    files: Sequence[str] | None = Field(None, max_length=1_000)
    error: bool | None = None
    category: _Name | None = None
    properties: Mapping[str, Any] | None = None
    content_blocks: Sequence[Mapping[str, Any]] | None = Field(None, max_length=1_000)
