"""Which dead letters to drive again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_Id = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class RedriveBody(BaseModel):
    """Named ones, or all that fit a filter; `all` has to be said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: Sequence[_Id] = Field((), max_length=500)
    what: Literal["", "run", "callback", "notice"] = ""
    kind: str = Field("", max_length=64, description="The failure's kind.")
    flow: str = Field("", max_length=300, description="The flow's id or name.")
    before: float | None = Field(None, ge=0, description="Only those given up before this time.")
    all: bool = Field(default=False, description="Every one of the tenant's.")

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if not (self.ids or self.what or self.kind or self.flow or self.before is not None or self.all):
            raise ValueError("say which: `ids`, a filter, or `all`")
        return self
