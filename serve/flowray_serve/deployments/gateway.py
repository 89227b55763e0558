"""The gateway: the HTTP routes, with the engine beside them, in a process of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from ray import serve
from starlette.types import ASGIApp

from flowray_serve.cluster.garbage import collect_seldom
from flowray_serve.cluster.niceness import be_no_lighter
from flowray_serve.cluster.side_door import shut_side_door


class Front(Protocol):
    """What a gateway replica holds."""

    app: ASGIApp

    async def close(self) -> None:
        """End runs and connections."""


@serve.ingress()
class GatewayReplica:
    """One replica. `build` is called in the replica's own process, with its name and the pools' handles by name.

    The engines are bound to it only to be deployed with it: they and the gateways meet in Redis.
    """

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self, build: Callable[[str, Mapping[str, Any]], Awaitable[Front]], runners: Mapping[str, Any], _engines: Any
    ) -> None:
        be_no_lighter()
        collect_seldom()
        shut_side_door()
        self._front = await build(serve.get_replica_context().replica_id.unique_id, runners)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application that answers HTTP; Serve asks for it after the constructor."""
        return self._front.app

    async def __del__(self) -> None:
        """Serve's word for an orderly end."""
        if hasattr(self, "_front"):
            await self._front.close()
