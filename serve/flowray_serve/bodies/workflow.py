"""The body of `POST /api/v2/workflows`: closed, so that a misspelt field is an error and not a silent default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from flowray_serve.bodies.run import NAME_LIMIT, SECRET_LIMIT

_Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]
_Secret = Annotated[str, StringConstraints(max_length=SECRET_LIMIT)]


class WorkflowBody(BaseModel):
    """One run of a flow. `data` runs these nodes and edges in place of the saved ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_id: UUID | _Name = Field(
        union_mode="left_to_right",  # an id may be written in several ways
        description="A flow's id or endpoint name; with `@` and a version behind it, that version.",
    )
    input_value: str = Field("", description="Goes to the flow's chat inputs; empty keeps what the flow has saved.")
    tweaks: Mapping[str, Any] = Field(default_factory=dict, description="Field values by node id.")
    session_id: str | None = Field(None, max_length=NAME_LIMIT)
    mode: Literal["sync", "stream", "background"] = "sync"
    stream_protocol: str = "langflow"
    expose_graph_state: bool | None = None
    data: Mapping[str, Any] | None = None
    files: Sequence[str] | None = Field(None, description="Paths of files uploaded for this flow.")
    start_component_id: str | None = None
    stop_component_id: str | None = None
    output_ids: Sequence[str] | None = Field(None, description="The outputs among which the answer is looked for.")
    globals: Mapping[_Name, _Secret] = Field(default_factory=dict, description="Global variables of this run only.")
    idempotency_key: str | None = Field(
        None, max_length=255, description="The same key is the same run; for runs in the background only."
    )
    callback_url: str | None = Field(
        None, max_length=2_048, description="Gets a signed POST when a background run is over."
    )


def blank_body(
    *, protocol: str = "langflow", expose_graph_state: bool | None = None, output_ids: Sequence[str] | None = None
) -> WorkflowBody:
    """A body that says only how to answer: for runs whose request is kept elsewhere."""
    return WorkflowBody(
        flow_id=UUID(int=0), stream_protocol=protocol, expose_graph_state=expose_graph_state, output_ids=output_ids
    )


class ResumeBody(BaseModel):
    """The answer to a paused run. As in Langflow, fields it does not know are passed over."""

    model_config = ConfigDict(frozen=True)

    request_id: str = Field(max_length=NAME_LIMIT)
    decision: Mapping[str, Any] | None = Field(None, description="`action_id` names the choice, `values` go with it.")


class StopBody(BaseModel):
    """Which background run to stop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: UUID
