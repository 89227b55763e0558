"""What the HTTP side needs from outside: who calls, where flows and files are kept, which components are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from flowray.component.spec import ComponentSpec
from flowray.engine.summary import RunSummary
from flowray.engine.values import Ref
from flowray.flow.types import Json
from flowray.runner.runner import EditorJob
from flowray.stores.records import FlowRecord, VersionRecord
from flowray.stores.tags import Canary, Tag

T = TypeVar("T")


class VersionStore(Protocol):
    """The versions of flows beside the current one."""

    async def all(self, tenant: str, flow_id: str) -> Sequence[VersionRecord]:
        """The versions of a flow, the newest first."""

    async def numbers(self, tenant: str) -> Sequence[tuple[str, int]]:
        """Each version of each flow, by the flow's id and its number; those that were forgotten, too."""

    async def tags(self, tenant: str, flow_id: str) -> Mapping[str, Tag]:
        """The flow's tags, and where each stands."""

    async def resolve(self, tenant: str, flow_id: str, name: str, *, whom: str | None = None) -> str | None:
        """The version that a name means, which may be a tag's canary for `whom`; None when it means none."""

    async def tag(self, tenant: str, flow_id: str, tag: str, version: str, *, canary: Canary | None = None) -> None:
        """Have a tag stand at a version, and send a share of its runs to another one; a canary from before ends."""

    async def untag(self, tenant: str, flow_id: str, tag: str) -> None:
        """Take a tag away."""

    async def keep(
        self, tenant: str, flow_id: str, version: str, document: Mapping[str, Json], *, description: str | None = None
    ) -> VersionRecord:
        """Keep a version without making it the flow."""

    async def describe(
        self, tenant: str, flow_id: str, record: VersionRecord, description: str | None
    ) -> VersionRecord:
        """Say something about a version."""

    async def forget(self, tenant: str, flow_id: str, record: VersionRecord) -> None:
        """Forget a version that is neither current nor tagged."""


class FlowStore(Protocol):
    """The flows and files of all tenants."""

    @property
    def versions(self) -> VersionStore:
        """What they were before, and what that is called."""

    async def find(self, tenant: str, name: str) -> FlowRecord | None:
        """The flow with this id or endpoint name, without its canvas; asked on every run."""

    async def read(self, tenant: str, flow_id: str, *, version: str | None = None) -> FlowRecord | None:
        """The flow with its canvas, in an older version when one is named."""

    async def list(self, tenant: str) -> Sequence[FlowRecord]:
        """All flows, without their canvas."""

    async def save(
        self, tenant: str, record: FlowRecord, *, note: str | None = None, follows: str | None = None
    ) -> None:
        """Keep this as the flow's newest version; `note` says what became of it.

        `OvertakenError` when the flow's revision is no longer the one that this `follows`; `NEW` is that of none.
        """

    async def delete(self, tenant: str, flow_id: str, *, follows: str | None = None) -> None:
        """Forget a flow; `OvertakenError` when its revision is no longer the one that this `follows`."""

    async def claim_file(self, tenant: str, path: str) -> bool:
        """Have a path for a file that comes; False when somebody has it. `delete_file` gives it up."""

    async def save_file(self, tenant: str, path: str, content: bytes) -> None:
        """Keep a file for runs."""

    async def find_file(self, tenant: str, path: str) -> Ref | None:
        """Where a file's bytes are."""

    async def read_file(self, tenant: str, path: str) -> bytes:
        """A file's bytes; `NotFoundError` when there is none."""

    async def file_names(self, tenant: str, flow_id: str) -> Sequence[str]:
        """The names of a flow's files."""

    async def delete_file(self, tenant: str, path: str) -> None:
        """Remove a file; it may be gone already."""


class Drawer(Protocol[T]):
    """Small records of one kind."""

    async def list(self, tenant: str) -> Sequence[T]:
        """All of a tenant's, the oldest first."""

    async def find(self, tenant: str, name: str) -> T | None:
        """The one with this id."""

    async def save(self, tenant: str, record: T) -> None:
        """Keep it in place of what was there."""

    async def delete(self, tenant: str, name: str) -> None:
        """Forget it."""


class Examiner(Protocol):
    """Loads component source in a sandbox, for people who are writing it."""

    async def __call__(self, job: EditorJob, facts: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return what a job of an editor's says."""


class Registry(Protocol):
    """The components known by the digest of their source."""

    async def specs(self, digests: Collection[str]) -> Mapping[str, ComponentSpec]:
        """The known ones among these."""

    async def register(self, code: str, name: str) -> ComponentSpec:
        """Get to know a component; may load its source in a sandbox."""


class RunIndex(Protocol):
    """Which runs a tenant has had."""

    async def runs(self, tenant: str, *, limit: int, before: float | None = None) -> Sequence[RunSummary]:
        """The newest runs first; only those accepted before a time, when given."""
