"""What one run's connections may use."""

from __future__ import annotations

from flowray.sandbox.relay import Caps
from flowray_serve.running_settings import EgressSettings

_MIB = 1024 * 1024


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
