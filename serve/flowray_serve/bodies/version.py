"""The bodies about versions of a flow: Langflow's snapshot, and a tag."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from flowray_serve.bodies.flow import Canvas

VERSION_NAME_LIMIT = 64
_Description = Annotated[str, StringConstraints(max_length=500)]
_VersionName = Annotated[str, StringConstraints(min_length=1, max_length=VERSION_NAME_LIMIT)]


class VersionBody(BaseModel):
    """A version to keep: the canvas in `data`, which does not become the flow, or else what the flow is now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    description: _Description | None = None
    data: Canvas | None = Field(None, description="The canvas: `nodes` and `edges`.")


class CanaryBody(BaseModel):
    """A version that a share of a tag's runs goes to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: _VersionName = Field("latest", description="A tag, `v3`, `latest`, or a digest or its beginning.")
    share: float = Field(gt=0, lt=1, description="Which share of the runs; those of one session stay together.")


class TagBody(BaseModel):
    """Where a tag stands. Without a `canary`, one that it had ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: _VersionName = Field("latest", description="A tag, `v3`, `latest`, or a digest or its beginning.")
    canary: CanaryBody | None = None
