"""From an order to a run: the flow as it will run, and the runs this process is driving."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from flowray.component.terms import is_recorded
from flowray.engine.events import Event, Recorded, RunFinished, RunId, RunPaused
from flowray.engine.failures import RunCancelledError, RunTimeoutError
from flowray.engine.outcome import Outcome, fold
from flowray.engine.ports import Journal, Objects, RunRequest
from flowray.engine.traffic import Traffic
from flowray.engine.whole import all_whole, whole
from flowray.errors import FlowRayError, InvalidRequestError
from flowray.flow.hosts import common
from flowray.flow.tweaks import tweak
from flowray.flow.types import Flow, Json, NodeId
from flowray.tenancy.tenant import Tenant
from flowray_serve.aftermath import Aftermath
from flowray_serve.library import Library, LoadedFlow
from flowray_serve.listening import Listener
from flowray_serve.partial import entry, part
from flowray_serve.timeline import Timeline

_SHOWN = 5
_T = TypeVar("_T")
_INPUTS_BY_TYPE = {"chat": ("ChatInput", "Chat Input"), "text": ("TextInput", "Text Input")}


class Engine(Protocol):
    """Runs a request to its end, recording as it goes. Cancelling whoever waits cancels the run."""

    async def execute(self, request: RunRequest) -> Sequence[Recorded]:
        """All events of the run."""

    def run(self, request: RunRequest) -> AsyncGenerator[Recorded, None]:
        """The run's events as they come."""


# What is settled for a tenant; None when nothing is.
TenantOf = Callable[[str], Awaitable[Tenant | None]]


class StoredVariables(Protocol):
    """The variables that tenants keep here."""

    async def values(self, tenant: str, names: Container[str]) -> Mapping[str, str]:
        """The values of those among `names` that the tenant has."""


class InputGivenTwiceError(InvalidRequestError):
    """An input came both as `input_value` and as a tweak."""

    code = "input_given_twice"
    status = 400


@dataclass(frozen=True, kw_only=True)
class TenantDefaults:
    """What every run of a tenant starts from: variables by name, the hosts it may reach, and how much of that."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    egress: tuple[str, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)


@dataclass(frozen=True, kw_only=True)
class RunOrder:
    """What a caller wants run with. Without `input_value`, inputs keep the values saved in the flow.

    Only what is connected to the flow's entry runs, unless `from_entry` is false: an editor runs all of it.
    """

    input_value: str | None = None
    input_type: str = "chat"
    output_type: str = "chat"
    output_component: str = ""
    tweaks: Mapping[str, Json] = field(default_factory=dict)
    session: str | None = None
    stream: bool = False
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    context: Mapping[str, Json] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    start: str | None = None
    stop: str | None = None
    from_entry: bool = True
    priority: int = 0
    trace: str = ""


def anybody() -> str:
    """Whom a run is for that belongs to no session: somebody else each time."""
    return uuid.uuid4().hex


class RunService:
    """Prepares runs and drives them in this process."""

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        *,
        library: Library,
        engine: Engine,
        objects: Objects,
        journal: Journal,
        defaults: Callable[[str], TenantDefaults],
        tenant_of: TenantOf,
        variables: StoredVariables,
        aftermath: Aftermath,
    ) -> None:
        self._library = library
        self._engine = engine
        self._objects = objects
        self._journal = journal
        self._defaults = defaults
        self._tenant_of = tenant_of
        self._variables = variables
        self._aftermath = aftermath
        self._live: dict[tuple[str, RunId], asyncio.Task[Any]] = {}

    async def prepare(self, tenant: str, flow_name: str, order: RunOrder, *, whom: str | None = None) -> RunRequest:
        """The request to run a published flow, tweaked as ordered, in the version that is for `whom`: for its session.

        Raises `UnknownFlowError`, `UnknownVersionError` or `FlowInvalidError`, and what a tweak does wrong.
        """
        loaded = await self._library.load(tenant, flow_name, whom=whom or order.session or anybody())
        return await self.prepare_loaded(tenant, loaded, order)

    async def prepare_loaded(self, tenant: str, loaded: LoadedFlow, order: RunOrder) -> RunRequest:
        """The request to run this flow."""
        flow = _tweaked(loaded, order)
        defaults, settled = self._defaults(tenant), await self._tenant_of(tenant) or Tenant(id=tenant)
        stored = await self._variables.values(tenant, loaded.references_of(flow))
        return RunRequest(
            run=RunId(str(uuid.uuid4())),
            tenant=tenant,
            flow=flow,
            flow_id=loaded.id,
            plan=loaded.plan,
            session=order.session or loaded.id,
            input_value=order.input_value,
            input_type=order.input_type,
            output_type=order.output_type,
            output_component=order.output_component,
            stream=order.stream,
            variables={**defaults.variables, **stored, **order.variables},
            files=await self._library.files_of(tenant, loaded, flow),
            packages=loaded.plan.packages,
            egress=common(defaults.egress, settled.egress, loaded.hosts),
            traffic=defaults.traffic,
            context=order.context,
            record=is_recorded(flow, usual=settled.record),
            only_nodes=_wanted(flow, order),
            priority=order.priority,
            trace=order.trace,
        )

    async def execute(self, request: RunRequest, *, within_s: float | None = None) -> Outcome:
        """Run to the end. Cancelling the caller cancels the run; so does taking longer than `within_s`."""
        task = self._own(request, self._executed(request))
        try:
            async with asyncio.timeout(within_s):
                outcome = fold(await all_whole(await task, self._objects))
        except TimeoutError:
            await asyncio.wait({task})
            raise _timed_out(request.run, within_s, await self._unfinished(request)) from None
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            raise _cancelled(request.run) from None
        return outcome

    async def stream(self, request: RunRequest, *, goes_on: bool = True) -> AsyncGenerator[Recorded, None]:
        """The run's events as they come. A reader that falls behind slows its own run down.

        When the reader leaves, the run goes on and its journal keeps what happens; unless `goes_on` is false: then it
        is cancelled.
        """
        listener = Listener()
        task = self._own(request, self._drive(request, listener))
        try:
            async for recorded in listener.events():
                yield recorded
            await task
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            raise _cancelled(request.run) from None
        finally:
            listener.leave()
            if not goes_on:
                task.cancel("The caller went away.")

    async def _unfinished(self, request: RunRequest) -> Sequence[NodeId]:
        """The nodes that had begun and not ended, as far as the journal can be read."""
        timeline = Timeline()
        with suppress(FlowRayError):
            async for recorded in self._journal.read(request.tenant, request.run):
                timeline.add(recorded)
        return [node["node"] for node in timeline.as_json()["nodes"] if node.get("status") == "running"]

    async def _executed(self, request: RunRequest) -> Sequence[Recorded]:
        try:
            told = await self._engine.execute(request)
        except asyncio.CancelledError:
            await self._aftermath.see_to_stopped(request, mode="sync")
            raise
        await self._aftermath.see_to(request, told[-1].event, mode="sync")
        return told

    async def _drive(self, request: RunRequest, listener: Listener) -> None:
        last: Event | None = None
        try:
            async with aclosing(self._engine.run(request)) as told:
                async for recorded in told:
                    last = recorded.event
                    await self._aftermath.see_to(request, last, mode="stream")
                    if not listener.has_left:
                        await listener.tell(await self._shown(recorded))
        except asyncio.CancelledError:
            if not isinstance(last, RunPaused | RunFinished):
                await self._aftermath.see_to_stopped(request, mode="stream")
            raise
        finally:
            listener.end()

    async def _shown(self, recorded: Recorded) -> Recorded | FlowRayError:
        """The event as its reader gets it. What cannot be read back ends the reading and not the run."""
        try:
            return await whole(recorded, self._objects)
        except FlowRayError as cause:
            return cause

    async def cancel(self, tenant: str, run: RunId) -> bool:
        """Stop a tenant's run and wait until it has stopped; False when it is not this process that drives it."""
        task = self._live.get((tenant, run))
        if task is None:
            return False
        task.cancel("Somebody asked the run to stop.")
        await asyncio.wait({task})
        return True

    def hear(self, tenant: str, run: RunId, reason: str) -> None:
        """Stop a tenant's run if it is this process that drives it."""
        if (task := self._live.get((tenant, run))) is not None:
            task.cancel(reason)

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        tasks = list(self._live.values())
        for task in tasks:
            task.cancel("The gateway is going down.")
        if tasks:
            await asyncio.wait(tasks)

    def _own(self, request: RunRequest, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        key = (request.tenant, request.run)
        task = asyncio.create_task(work, name=f"run {request.run}")
        self._live[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))
        return task

    def _forget(self, key: tuple[str, RunId], done: asyncio.Task[Any]) -> None:
        self._live.pop(key, None)
        if not done.cancelled():
            done.exception()  # asked for, because a caller that has gone asks no more


def _wanted(flow: Flow, order: RunOrder) -> frozenset[NodeId] | None:
    """What is not connected to the flow's entry does not run when the flow is called; an editor runs all of it."""
    is_called = order.from_entry and order.start is None and order.stop is None
    return part(flow, start=entry(flow) if is_called else order.start, stop=order.stop)


def _tweaked(loaded: LoadedFlow, order: RunOrder) -> Flow:
    if not order.tweaks and not order.files:
        return loaded.streaming if order.stream else loaded.flow
    _refuse_inputs_given_twice(order)
    flow = tweak(loaded.flow, order.tweaks, stream=order.stream)
    if not order.files:
        return flow
    inputs = [node.id for node in flow.nodes if node.component == "ChatInput" and "files" in node.fields]
    return tweak(flow, {node: {"files": list(order.files)} for node in inputs})


def _refuse_inputs_given_twice(order: RunOrder) -> None:
    names = _INPUTS_BY_TYPE.get(order.input_type, ())
    if order.input_value is None:
        return
    for key, values in order.tweaks.items():
        if not isinstance(values, Mapping) or values.get("input_value") is None:
            continue
        if any(name in key for name in names):
            raise InputGivenTwiceError(
                f"`input_value` came with the request and as a tweak of `{key[:80]}`: send one of them."
            )


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cancelled(run: RunId) -> RunCancelledError:
    return RunCancelledError("The run was cancelled.", run)


def _timed_out(run: RunId, within_s: float | None, unfinished: Sequence[NodeId]) -> RunTimeoutError:
    busy = f" It was at {', '.join(f'`{node}`' for node in unfinished[:_SHOWN])}." if unfinished else ""
    return RunTimeoutError(
        f"The run took longer than {within_s:g} s and was stopped.{busy} Ask for it in the background "
        "(`Prefer: respond-async`, or mode `background`), or have the operator raise FLOWRAY_GATEWAY__SYNC_S.",
        run,
        {"node": unfinished[0]} if len(unfinished) == 1 else {},
    )
