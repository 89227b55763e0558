"""Where a lane begins: a socket file on this machine, or an encrypted port of a node."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from flowray_serve.lanes.privacy import engine_side, runner_side

_DEAD_PEER_MS = 5000


async def listen(
    address: str, protocol: Callable[[], asyncio.BaseProtocol], *, secret: bytes
) -> tuple[asyncio.Server, str]:
    """Listen at an address; return the server and the address it can be reached at (`tls:HOST:0` takes any port)."""
    loop = asyncio.get_running_loop()
    kind, _, where = address.partition(":")
    if kind == "unix":
        Path(where).unlink(missing_ok=True)  # noqa: ASYNC240 - once, before anything is served
        return await loop.create_unix_server(protocol, where), address
    host, _, port = where.rpartition(":")
    server = await loop.create_server(protocol, host, int(port), ssl=runner_side(secret))
    return server, f"tls:{host}:{server.sockets[0].getsockname()[1]}"


async def connect(address: str, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
    """Connect to an address; `OSError` when nobody is there."""
    loop = asyncio.get_running_loop()
    kind, _, where = address.partition(":")
    if kind == "unix":
        await loop.create_unix_connection(protocol, where)
        return
    host, _, port = where.rpartition(":")
    await loop.create_connection(protocol, host, int(port), ssl=engine_side())


def notice_death(transport: asyncio.BaseTransport) -> None:
    """Let the kernel find out that the other machine is gone, idle or not, within seconds."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_PEER_MS)
