"""The bodies that publish and change a flow, in the fields that Langflow's clients send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from flowray.flow.check import ENDPOINT_NAME, ENDPOINT_NAME_LIMIT
from flowray.flow.export import imported_canvas

NAME_LIMIT = 256
TEXT_LIMIT = 64 * 1024

_Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]
_Text = Annotated[str, StringConstraints(max_length=TEXT_LIMIT)]
_EndpointName = Annotated[str, StringConstraints(pattern=ENDPOINT_NAME, max_length=ENDPOINT_NAME_LIMIT)]
# Downloads have source as lines; what is kept has it as text, which is what editors read.
Canvas = Annotated[Mapping[str, Any], BeforeValidator(imported_canvas)]
_Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]


class FlowChange(BaseModel):
    """The fields of a flow to change; those not sent stay."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: _Name | None = None
    description: _Text | None = None
    data: Canvas | None = Field(None, description="The canvas: `nodes` and `edges`.")
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
    access_type: Literal["PRIVATE", "PUBLIC"] | None = None
    action_name: _Text | None = None
    action_description: _Text | None = None


class FlowBody(FlowChange):
    """A whole flow, as Langflow exports it; without `data` it is an empty one."""

    name: _Name
    id: UUID | None = Field(None, description="The id it had elsewhere; kept when it is free here.")


class FlowsBody(BaseModel):
    """Several flows at once."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    flows: Sequence[FlowBody] = Field(max_length=500)


class ProjectChange(BaseModel):
    """The fields of a project to change; `flows` are those that will lie in it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: _Name | None = None
    description: _Text | None = None
    flows: Sequence[UUID] = Field((), max_length=10_000)
    components: Sequence[UUID] = Field((), max_length=10_000)


class ProjectBody(BaseModel):
    """A new project."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: _Name
    description: _Text | None = None
    flows_list: Sequence[UUID] | None = Field(None, max_length=10_000)
    components_list: Sequence[UUID] | None = Field(None, max_length=10_000)
