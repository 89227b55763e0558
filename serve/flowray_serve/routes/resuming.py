"""Where a reader of events that comes back goes on."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Header
from pydantic import BeforeValidator, Field

SEQ_LIMIT: Final = 2**53


def _unless_empty(sent: object) -> object:
    return None if sent == "" else sent


# An empty one is that of a reader that has seen no id yet, as server-sent events have it.
LastEventId = Annotated[
    Annotated[int, Field(ge=0, le=SEQ_LIMIT)] | None,
    BeforeValidator(_unless_empty),
    Header(description="Skip the events up to this one, whatever the query says."),
]
