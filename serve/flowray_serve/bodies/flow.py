"""The bodies that publish and change a flow, in the fields that Langflow's clients send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

NAME_LIMIT = 256
TEXT_LIMIT = 64 * 1024

_Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]
_Text = Annotated[str, StringConstraints(max_length=TEXT_LIMIT)]
_EndpointName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$", max_length=NAME_LIMIT)]
_Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]


class FlowChange(BaseModel):
    """The fields of a flow to change; those not sent stay."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: _Name | None = None
    description: _Text | None = None
    data: Mapping[str, Any] | None = Field(None, description="The canvas: `nodes` and `edges`.")
    # Langflow's editor clears the name by sending an empty one.
    endpoint_name: Annotated[_EndpointName | None, BeforeValidator(lambda name: name or None)] = Field(
        None, description="A name to run the flow by, in place of its id."
    )
    tags: Sequence[_Name] | None = Field(None, max_length=100)
    folder_id: UUID | None = None
    icon: _Name | None = None
    icon_bg_color: _Colour | None = None
    gradient: _Name | None = None
    locked: bool | None = None
    mcp_enabled: bool | None = None
    is_component: bool | None = None


class FlowBody(FlowChange):
    """A whole flow, as Langflow exports it."""

    name: _Name
    data: Mapping[str, Any] = Field(description="The canvas: `nodes` and `edges`.")
