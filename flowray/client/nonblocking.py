"""The client for programs that run an event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import httpx

from flowray.client import calls
from flowray.client.address import key_headers, service_url
from flowray.client.answers import PublishedFlow
from flowray.client.calls import Call, RunOptions
from flowray.client.errors import ServiceUnreachableError, error_of, read
from flowray.client.follow import Follower
from flowray.client.lines import lines_to_come
from flowray.client.sources import FlowSource
from flowray.client.sse import FrameReader
from flowray.engine.events import Recorded
from flowray.engine.outcome import Answer
from flowray.errors import FlowRayError

T = TypeVar("T")


class AsyncClient:
    """Speaks to a FlowRay service at `url` with an API key. `timeout_s` is how long a synchronous run may take."""

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        timeout_s: float = 600.0,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        timeout = httpx.Timeout(timeout_s, connect=10.0)
        self._http = httpx.AsyncClient(
            base_url=service_url(url), headers=key_headers(key), timeout=timeout, transport=transport
        )
        self._pause = pause

    async def publish(self, source: FlowSource) -> PublishedFlow:
        """Publish a flow: a file's path, a Langflow export, or a Flow. Publishing again updates it."""
        return await self.ask(calls.publish(source))

    async def expand(self, spec: str) -> Mapping[str, Any]:
        """The whole flow, to publish or to keep, of a description in lfx's compact form."""
        return await self.ask(calls.expand(spec))

    async def flows(self) -> tuple[PublishedFlow, ...]:
        """All flows of the tenant."""
        return await self.ask(calls.flows())

    async def flow(self, flow: str) -> PublishedFlow:
        """One flow, by id or endpoint name."""
        return await self.ask(calls.flow(flow))

    async def delete(self, flow_id: str) -> None:
        """Forget a flow."""
        await self.ask(calls.delete(flow_id))

    async def run(self, flow: str, **options: Unpack[RunOptions]) -> Answer:
        """Run a flow, by id or endpoint name, and wait for its answer; a failed run raises its error."""
        return await self.ask(calls.run(flow, options))

    async def stream(self, flow: str, **options: Unpack[RunOptions]) -> AsyncGenerator[Mapping[str, Any], None]:
        """Run a flow and get Langflow's stream frames as they come: messages, tokens, then `end` or `error`."""
        body = {**calls.run_body(options), "stream": True}
        async with self._opened("POST", calls.run_path(flow), json=body) as response:
            async for line in lines_to_come(response.aiter_text()):
                if line:
                    yield json.loads(line)

    async def runs(self, *, limit: int = 50) -> Sequence[Mapping[str, Any]]:
        """The tenant's latest runs, newest first."""
        return await self.ask(calls.runs(limit=limit))

    async def run_status(self, run: str) -> Mapping[str, Any]:
        """One run, with the timeline of its nodes."""
        return await self.ask(calls.run_status(run))

    async def events(self, run: str, *, after: int = 0) -> AsyncGenerator[Recorded, None]:
        """A run's journal from seq `after` + 1 to its end, followed while it runs; a broken connection is resumed."""
        follower = Follower(after=after)
        while not follower.over:
            follower.begin()
            try:
                async with self._opened("GET", calls.events_path(run), headers=follower.headers) as response:
                    reader = FrameReader()
                    async for line in lines_to_come(response.aiter_text()):
                        if (frame := reader.feed(line)) is not None:
                            yield follower.take(frame)
                if follower.is_told_nothing:
                    follower.settle(await self.run_status(run))
            except FlowRayError as cause:
                follower.ended(cause)
            if not follower.over:
                await self._pause(follower.wait_s())

    async def cancel(self, run: str) -> Mapping[str, Any]:
        """Ask a run to stop."""
        return await self.ask(calls.cancel(run))

    async def rerun(self, run: str, *, start: str, values: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Run again from a node, in the background; answers the new run as a job."""
        return await self.ask(calls.rerun(run, start, values or {}))

    async def upload(self, flow: str, path: Path) -> str:
        """Store a file for a flow's runs; answers the path to give to the flow's file fields."""
        return await self.ask(calls.upload(flow, path))

    async def health(self) -> Mapping[str, Any]:
        """Whether the service is up."""
        return await self.ask(calls.health())

    async def ask(self, call: Call[T]) -> T:
        """Ask what has no method of its own, such as what `flowray.client.admin_calls` has for operators."""
        try:
            response = await self._http.request(
                call.method, call.path, json=call.json, params=call.params, files=call.files, headers=call.headers
            )
        except httpx.TransportError as cause:
            raise ServiceUnreachableError.at(str(self._http.base_url), cause) from cause
        if not response.is_success:
            raise error_of(response)
        return read(call, response)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def _opened(self, method: str, path: str, **asked: Any) -> AsyncGenerator[httpx.Response, None]:
        """A response that is read while it comes."""
        try:
            async with self._http.stream(method, path, **asked) as response:
                if not response.is_success:
                    await response.aread()
                    raise error_of(response)
                yield response
        except httpx.TransportError as cause:
            raise ServiceUnreachableError.at(str(self._http.base_url), cause) from cause
