"""The client for programs that wait."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import httpx

from flowray.client import calls
from flowray.client.address import key_headers, service_url
from flowray.client.answers import PublishedFlow
from flowray.client.calls import Call, RunOptions
from flowray.client.errors import ServiceUnreachableError, error_of, read
from flowray.client.follow import Follower
from flowray.client.lines import lines
from flowray.client.sources import FlowSource
from flowray.client.sse import frames
from flowray.engine.events import Recorded
from flowray.engine.outcome import Answer
from flowray.errors import FlowRayError

T = TypeVar("T")


class Client:
    """Speaks to a FlowRay service at `url` with an API key. `timeout_s` is how long a synchronous run may take."""

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        timeout_s: float = 600.0,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        timeout = httpx.Timeout(timeout_s, connect=10.0)
        self._http = httpx.Client(
            base_url=service_url(url), headers=key_headers(key), timeout=timeout, transport=transport
        )
        self._pause = pause

    @property
    def url(self) -> str:
        """Where the service is."""
        return str(self._http.base_url)

    def publish(self, source: FlowSource) -> PublishedFlow:
        """Publish a flow: a file's path, a Langflow export, or a Flow. Publishing again updates it."""
        return self.ask(calls.publish(source))

    def expand(self, spec: str) -> Mapping[str, Any]:
        """The whole flow, to publish or to keep, of a description in lfx's compact form."""
        return self.ask(calls.expand(spec))

    def flows(self) -> tuple[PublishedFlow, ...]:
        """All flows of the tenant."""
        return self.ask(calls.flows())

    def flow(self, flow: str) -> PublishedFlow:
        """One flow, by id or endpoint name."""
        return self.ask(calls.flow(flow))

    def delete(self, flow_id: str) -> None:
        """Forget a flow."""
        self.ask(calls.delete(flow_id))

    def run(self, flow: str, **options: Unpack[RunOptions]) -> Answer:
        """Run a flow, by id or endpoint name, and wait for its answer; a failed run raises its error."""
        return self.ask(calls.run(flow, options))

    def stream(self, flow: str, **options: Unpack[RunOptions]) -> Generator[Mapping[str, Any], None, None]:
        """Run a flow and get Langflow's stream frames as they come: messages, tokens, then `end` or `error`."""
        body = {**calls.run_body(options), "stream": True}
        with self._opened("POST", calls.run_path(flow), json=body) as response:
            yield from (json.loads(line) for line in lines(response.iter_text()) if line)

    def runs(self, *, limit: int = 50) -> Sequence[Mapping[str, Any]]:
        """The tenant's latest runs, newest first."""
        return self.ask(calls.runs(limit=limit))

    def run_status(self, run: str) -> Mapping[str, Any]:
        """One run, with the timeline of its nodes."""
        return self.ask(calls.run_status(run))

    def events(self, run: str, *, after: int = 0) -> Generator[Recorded, None, None]:
        """A run's journal from seq `after` + 1 to its end, followed while it runs; a broken connection is resumed."""
        follower = Follower(after=after)
        while not follower.over:
            follower.begin()
            try:
                with self._opened("GET", calls.events_path(run), headers=follower.headers) as response:
                    for frame in frames(lines(response.iter_text())):
                        yield follower.take(frame)
                if follower.is_told_nothing:
                    follower.settle(self.run_status(run))
            except FlowRayError as cause:
                follower.ended(cause)
            if not follower.over:
                self._pause(follower.wait_s())

    def cancel(self, run: str) -> Mapping[str, Any]:
        """Ask a run to stop."""
        return self.ask(calls.cancel(run))

    def rerun(self, run: str, *, start: str, values: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Run again from a node, in the background; answers the new run as a job."""
        return self.ask(calls.rerun(run, start, values or {}))

    def upload(self, flow: str, path: Path) -> str:
        """Store a file for a flow's runs; answers the path to give to the flow's file fields."""
        return self.ask(calls.upload(flow, path))

    def health(self) -> Mapping[str, Any]:
        """Whether the service is up."""
        return self.ask(calls.health())

    def ask(self, call: Call[T]) -> T:
        """Ask what has no method of its own, such as what `flowray.client.admin_calls` has for operators."""
        try:
            response = self._http.request(
                call.method, call.path, json=call.json, params=call.params, files=call.files, headers=call.headers
            )
        except httpx.TransportError as cause:
            raise ServiceUnreachableError.at(str(self._http.base_url), cause) from cause
        if not response.is_success:
            raise error_of(response)
        return read(call, response)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _opened(self, method: str, path: str, **asked: Any) -> Generator[httpx.Response, None, None]:
        """A response that is read while it comes."""
        try:
            with self._http.stream(method, path, **asked) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield response
        except httpx.TransportError as cause:
            raise ServiceUnreachableError.at(str(self._http.base_url), cause) from cause
