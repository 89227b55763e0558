"""A web application on a thread of its own, for as long as a test needs it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

# lfx rewrites `localhost` and `127.0.0.1` to the gateway when it believes to be in a container; any other
# loopback address stays as it is.
HOST = "127.0.0.2"
_READY_S = 30


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextmanager
def serving(app: ASGIApp, *, host: str = HOST, port: int = 0) -> Iterator[str]:
    """Serve `app`; gives its URL, with the port that was free when none is named."""
    listener = socket.create_server((host, port))
    server = _Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), name="test server", daemon=True)
    thread.start()
    if not server.listening.wait(_READY_S):
        raise TimeoutError(f"The test server did not listen on {host} within {_READY_S} s.")
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_READY_S)
        listener.close()
