"""Which hosts runs may reach: what a tenant's settings say, and what one run's connections may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from flowray.sandbox.relay import Caps
from flowray.tenancy.tenants import Tenants
from flowray_serve.running_settings import EgressSettings

_MIB = 1024 * 1024


def egress_of(tenants: Tenants) -> Callable[[str], Awaitable[Sequence[str] | None]]:
    """Return what answers with the hosts that a tenant may reach at most; None when nothing is settled."""

    async def of(tenant: str) -> Sequence[str] | None:
        found = await tenants.find(tenant)
        return None if found is None else found.egress

    return of


def connection_caps(settings: EgressSettings) -> Caps:
    """Return what the connections of one step may use."""
    return Caps(
        open=settings.open,
        total=settings.connections,
        up_bytes=settings.up_mib * _MIB,
        down_bytes=settings.down_mib * _MIB,
        idle_s=settings.idle_s,
        connect_s=settings.connect_s,
    )
