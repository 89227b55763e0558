"""The bodies that make and change a variable, as Langflow's clients send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_Fields = Annotated[Sequence[Annotated[str, StringConstraints(max_length=256)]], Field(max_length=1_000)]


class VariableChange(BaseModel):
    """What to change of a variable; what is not sent stays."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str | None = None
    value: str | None = None
    type: Literal["Credential", "Generic"] | None = None
    default_fields: _Fields | None = None


class VariableBody(VariableChange):
    """A variable to make; without a `type` it is a credential, whose value is never shown again."""

    name: str
    value: str


class DetectionsBody(BaseModel):
    """Versions of flows, by their ids, to look through for the variables that they name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    flow_version_ids: Sequence[UUID] = Field(min_length=1, max_length=50)
