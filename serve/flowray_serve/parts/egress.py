"""What the connections of a run and of a step may use."""

from __future__ import annotations

from flowray.engine.traffic import Traffic
from flowray.sandbox.relay import Caps
from flowray_serve.running_settings import EgressSettings

_MIB = 1024 * 1024


def connection_caps(settings: EgressSettings) -> Caps:
    """Return what the connections of one step may use at most: of what its run may, it is lent a part."""
    return Caps(
        open=settings.open,
        total=settings.connections,
        up_bytes=settings.up_mib * _MIB,
        down_bytes=settings.down_mib * _MIB,
        idle_s=settings.idle_s,
        connect_s=settings.connect_s,
    )


def traffic_of(settings: EgressSettings) -> Traffic:
    """Return what the connections of one run may use, all its steps together."""
    return Traffic(
        open=settings.open,
        connections=settings.connections,
        up_bytes=settings.up_mib * _MIB,
        down_bytes=settings.down_mib * _MIB,
    )
