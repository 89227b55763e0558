"""The bodies that make keys and tenants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from flowray.tenancy.principal import Role
from flowray_serve.bodies.times import seconds

_DAY_S = 86_400


class KeyBody(BaseModel):
    """A key to make. Without `roles` it may what its maker may, though never see to other tenants."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str | None = Field(None, max_length=100)
    roles: Annotated[Sequence[Role], Field(min_length=1, max_length=8)] | None = None
    expires_at: datetime | None = Field(None, description="When it ends; without a time zone this is UTC.")

    @property
    def ends_at(self) -> float | None:
        """When the key ends, in seconds."""
        return None if self.expires_at is None else seconds(self.expires_at)


class KeyChangeBody(BaseModel):
    """What a key may from now on, or when it ends; what is not named stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: Annotated[Sequence[Role], Field(min_length=1, max_length=8)] | None = None
    expires_at: datetime | None = Field(None, description="When it ends; null: never.")

    @property
    def ends_at(self) -> float | None:
        """When the key ends, in seconds."""
        return None if self.expires_at is None else seconds(self.expires_at)


class RotationBody(BaseModel):
    """How to replace a key by a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_s: float = Field(0, ge=0, le=30 * _DAY_S, description="Seconds that the old key goes on working.")


class TenantBody(BaseModel):
    """A tenant to make: its id, and what is settled for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(max_length=63, description="Small letters, digits and `-`.")
    settings: Mapping[str, Any] = Field(default_factory=dict)


class TenantChange(BaseModel):
    """What to settle for a tenant; what is not named stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: Mapping[str, Any]
    revision: str = Field("", max_length=64, description="The revision that was seen; another one is a conflict.")
