"""A flow as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flowray.flow.types import Json

NEW = ""
"""The revision that a flow follows which was not there before."""


@dataclass(frozen=True, kw_only=True)
class FlowRecord:
    """A flow as it is kept: `version` is its content digest, `revision` changes with every write.

    `document` has Langflow's fields; in lists and look-ups it comes without the canvas (`data`).
    """

    id: str
    version: str
    revision: str
    document: Mapping[str, Json]

    @property
    def name(self) -> str | None:
        """What the user calls it."""
        return self.document.get("name")

    @property
    def endpoint_name(self) -> str | None:
        """The name the flow may be run by."""
        return self.document.get("endpoint_name")

    @property
    def is_deleted(self) -> bool:
        """Whether its deletion has begun: nothing of it is read any more, and deleting it again ends what broke off."""
        return not self.version

    def deleted(self) -> FlowRecord:
        """What is kept of it from the moment in which its deletion begins until that is done."""
        return replace(self.without_canvas(), version="", revision=NEW)

    def without_canvas(self) -> FlowRecord:
        """The same flow as lists show it."""
        shown = {name: value for name, value in self.document.items() if name != "data"}
        return FlowRecord(id=self.id, version=self.version, revision=self.revision, document=shown)


@dataclass(frozen=True, kw_only=True)
class ProjectRecord:
    """A project as it is kept; times are seconds since the epoch."""

    id: str
    name: str
    description: str | None = None
    created_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class UploadRecord:
    """A file of a tenant's own, which any of its flows may read: `path` is what a file field takes."""

    id: str
    name: str
    path: str
    size: int
    created_at: float
    updated_at: float


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """That a flow became what it is in a version: `version` is its content digest, `at` seconds since the epoch.

    Numbers count up from 1 and are never given twice. The same content may come back under another number. `current`
    is false of what was kept without becoming the flow.
    """

    number: int
    version: str
    at: float
    description: str | None = None
    images: tuple[str, ...] = ()
    current: bool = True
