"""What all branches of the settings' tree have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsGroup(BaseModel):
    """One branch: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
