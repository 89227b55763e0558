"""Ports on loopback that nobody uses, so that several FlowRays live on one machine."""

from __future__ import annotations

import random
import socket
from contextlib import closing

from flowray.errors import FlowRayError
from flowray_serve.cluster.environment import Ports

# Below the ports that the kernel gives to clients, which take one between the choice and its use, and above those that
# Ray gives to its workers.
_REPLICAS_FROM, _REPLICAS_TO, _REPLICAS = 20_000, 30_000, 100
_SINGLE_FROM, _SINGLE_TO = 30_000, 32_700
_TRIES = 100
# What this process has given out or means to listen on itself: free still, and not to be given out again.
_PROMISED: set[int] = set()


class PortTakenError(FlowRayError):
    """The port of the service is in use."""

    code = "port_taken"
    fault = "caller"
    status = 409


def free_ports() -> Ports:
    """Return ports that are free now."""
    statistics, metrics, http, grpc, dashboard, autoscaler = (free_port() for _ in range(6))
    return Ports(
        proxy_statistics=statistics,
        proxy_metrics=metrics,
        fallback_http=http,
        fallback_grpc=grpc,
        dashboard_metrics=dashboard,
        autoscaler_metrics=autoscaler,
        replicas=_free_range(),
    )


def free_port() -> int:
    """Return one port that is free now."""
    for _ in range(_TRIES):
        port = random.randrange(_SINGLE_FROM, _SINGLE_TO)  # noqa: S311 - to spread, not to hide
        if port not in _PROMISED and _can_be_bound(port):
            _PROMISED.add(port)
            return port
    raise PortTakenError(f"No free port between {_SINGLE_FROM} and {_SINGLE_TO}.")


def check_free(host: str, port: int) -> None:
    """Raise `PortTakenError` when somebody listens there; from now on the port is given to nobody else."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as cause:
            raise PortTakenError(
                f"{host}:{port} cannot be listened on ({cause.strerror}). Choose another port: FLOWRAY_PORT=8001"
            ) from cause
    _PROMISED.add(port)


def _free_range() -> int:
    for _ in range(_TRIES):
        first = random.randrange(_REPLICAS_FROM, _REPLICAS_TO, _REPLICAS)  # noqa: S311 - to spread, not to hide
        is_promised = not _PROMISED.isdisjoint(range(first, first + _REPLICAS))
        if not is_promised and all(map(_can_be_bound, range(first, first + 4))):
            return first
    raise PortTakenError(f"No free range of ports between {_REPLICAS_FROM} and {_REPLICAS_TO}.")


def _can_be_bound(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
