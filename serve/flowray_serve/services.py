"""What the routes stand on, put together by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from flowray.engine.ports import Journal
from flowray.observe.meter import Meter
from flowray.stores.chats import Chats
from flowray.stores.records import UploadRecord
from flowray.stores.tenant_data import TenantData
from flowray.tenancy.audit import Audit
from flowray.tenancy.tenants import Tenants
from flowray.tenancy.variables import Variables
from flowray_serve.admission.rates import RateLimiter
from flowray_serve.admission.shares import Shares
from flowray_serve.auth import Authenticator, Gate
from flowray_serve.bounds import HeadLimits
from flowray_serve.key_service import KeyService
from flowray_serve.library import Library
from flowray_serve.metrics.exposition import Exposition
from flowray_serve.ports import Drawer, Examiner, FlowStore, RunIndex
from flowray_serve.preloading import Preloading
from flowray_serve.projects import Projects
from flowray_serve.publishing import Publisher
from flowray_serve.queueing.jobs import Jobs
from flowray_serve.run_service import RunService

_MIB = 1024 * 1024


async def free(_: str) -> None:
    """Let every tenant run."""


@dataclass(frozen=True, kw_only=True)
class BodyLimits:
    """How much the routes read: of a run's body, of a flow, of an uploaded file; and how much one download holds."""

    run_bytes: int = 8 * _MIB
    flow_bytes: int = 16 * _MIB
    file_bytes: int = 64 * _MIB

    @property
    def download_bytes(self) -> int:
        """The most that is put into one file of several: it is made in memory."""
        return self.file_bytes * 4


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything the routes use."""

    authenticator: Authenticator
    gate: Gate
    audit: Audit
    tenants: Tenants
    tenant_data: TenantData
    keys: KeyService
    variables: Variables
    store: FlowStore
    library: Library
    publisher: Publisher
    runs: RunService
    jobs: Jobs
    journal: Journal
    run_index: RunIndex
    projects: Projects
    uploads: Drawer[UploadRecord]
    examine: Examiner
    chats: Chats
    preloading: Preloading
    shares: Shares
    meter: Meter
    exposition: Exposition
    limiter: RateLimiter | None = None
    # Asked before a stream or a build begins, while there is a status to refuse a run with.
    may_run: Callable[[str], Awaitable[None]] = free
    limits: BodyLimits = BodyLimits()
    head_limits: HeadLimits = field(default_factory=HeadLimits)
    version: str = "0"
