"""A port that only operators' routes answer at, beside the one that Ray Serve listens on; every gateway shares it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence

import uvicorn
from starlette.types import ASGIApp

from flowray_serve.bounds import HeadLimits
from flowray_serve.routes.application import build_operator_app
from flowray_serve.services import Services
from flowray_serve.settings import BodySettings, Settings

_KIB = 1024


class _Server(uvicorn.Server):
    """A server whose end is ours to say: signals belong to the process that it is a guest of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


def operator_door(settings: Settings, services: Services) -> Sequence[asyncio.Task[None]]:
    """The task that keeps the door open, if the settings ask for one; cancel it to shut the door."""
    port = settings.gateway.operator_port
    if port is None:
        return []
    listener = _listener(settings.host, port)
    return [asyncio.create_task(_serve(build_operator_app(services), listener), name="operators' door")]


def head_limits(settings: BodySettings) -> HeadLimits:
    """How long the settings wait for a body."""
    return HeadLimits(body_s=settings.wait_s, body_bytes_per_s=settings.slowest_kib_s * _KIB)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # Several gateways may live on one machine; the kernel deals connections out among them.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return listener


async def _serve(app: ASGIApp, listener: socket.socket) -> None:
    server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    try:
        await server.serve(sockets=[listener])
    finally:
        await server.shutdown(sockets=[listener])
        listener.close()
