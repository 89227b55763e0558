"""`/api/v1/runs/{run}/socket`: a run's journal over a WebSocket, followed while it runs; who reads may stop it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from flowray.engine.codec import encode
from flowray.engine.events import Recorded, RunId
from flowray.errors import FlowRayError
from flowray.tenancy.permissions import Permission, allows
from flowray_serve.auth import needs
from flowray_serve.routes.queries import CANCEL, says_yes
from flowray_serve.services import Services

_POLICY_VIOLATION, _NORMAL, _TRY_AGAIN_LATER = 1008, 1000, 1013
_STOP = "cancel"
_DIGITS = 16


class RunSocketRoutes:
    """The handler of `/api/v1/runs/{run}/socket`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
        router.add_api_websocket_route("/{run}/socket", self.follow)
        return router

    @needs(Permission.RUNS_READ)
    async def follow(self, socket: WebSocket, run: str) -> None:
        """Send each event as a text message, from the one after the query's `after` on; at the run's end, close.

        The message `cancel` stops the run; so does leaving, with `cancel_on_disconnect`.
        """
        tenant = (await self._services.authenticator(socket)).tenant
        try:
            first = aiter(self._services.journal.read(tenant, RunId(run)))
            await anext(first, None)
        except FlowRayError as error:
            await socket.close(_POLICY_VIOLATION, error.message[:100])
            return
        await socket.accept()
        await self._follow(socket, tenant, RunId(run))

    async def _follow(self, socket: WebSocket, tenant: str, run: RunId) -> None:
        journal = self._services.journal.read(tenant, run, after=_after(socket), follow=True)
        listening = asyncio.create_task(self._obey(socket, tenant, run), name=f"socket of run {run}")
        sending = asyncio.create_task(_send_all(socket, journal), name=f"events of run {run}")
        try:
            await asyncio.wait({listening, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, sending):
                task.cancel()
            await asyncio.wait({listening, sending})
            if not sending.cancelled() and isinstance(error := sending.exception(), FlowRayError):
                await _close(socket, _TRY_AGAIN_LATER, error.message)

    async def _obey(self, socket: WebSocket, tenant: str, run: RunId) -> None:
        """Do what the reader says, until it leaves."""
        may_stop = allows((await self._services.authenticator(socket)).roles, Permission.RUNS_STOP)
        try:
            while True:
                if (await socket.receive_text()).strip() == _STOP and may_stop:
                    await self._services.runs.cancel(tenant, run)
        except (WebSocketDisconnect, KeyError):
            if says_yes(socket, CANCEL) and may_stop:
                await self._services.runs.cancel(tenant, run)


async def _send_all(socket: WebSocket, journal: AsyncIterator[Recorded]) -> None:
    # A reader that does not read makes `send_text` wait, and so costs no memory here.
    async with aclosing(journal) as events:  # type: ignore[type-var]  # a generator, though the port does not say so
        async for recorded in events:
            await socket.send_text(encode(recorded).decode())
    await _close(socket, _NORMAL, "")


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(RuntimeError):  # the other side has closed already
        await socket.close(code, reason[:100])


def _after(socket: WebSocket) -> int:
    said = socket.query_params.get("after", "0")
    return int(said) if said.isdigit() and len(said) <= _DIGITS else 0
