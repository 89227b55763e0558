"""Flows without a service: the same engine and the same sandboxes, in this process, for one program or one command."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

import orjson

from flowray.component.adapters import adapter_of
from flowray.component.check import check
from flowray.component.known import known_components
from flowray.component.source import with_sources
from flowray.engine.events import Recorded, RunId
from flowray.engine.failures import ComponentFailedError, paused
from flowray.engine.loop import Engine
from flowray.engine.outcome import Answer, answering, fold
from flowray.engine.ports import RunRequest
from flowray.engine.values import Ref
from flowray.engine.whole import all_whole, whole
from flowray.errors import FlowFormatError, InvalidRequestError
from flowray.flow.check import require_runnable
from flowray.flow.compact import refuse_too_large
from flowray.flow.hosts import common, hosts_of
from flowray.flow.tweaks import tweak
from flowray.flow.types import Field, Flow, Json
from flowray.plan.planner import plan
from flowray.runner.asking import Desk
from flowray.runner.chat_desk import ChatDesk
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.image import Image, find_image
from flowray.stores.chats import MemoryChats
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.objects import open_objects
from flowray.stores.paths import path

TENANT = "local"
_NUMERIC = frozenset({"int", "float", "bool", "slider"})
_FACTS = frozenset({"input_value", "input_type", "output_type", "output_component", "session", "stream"})

_TYPES = {"input_type": ("chat", "text", "any"), "output_type": ("chat", "text", "any", "debug")}


class Local:
    """A place to run flows: `async with Local() as local: await local.run(flow, input_value="hi")`.

    It holds a zygote, which takes seconds and some 300 MB to start: keep it for several runs. One for a run or two,
    not `lasting`, starts in a third of the time; each of its runs then compiles what it needs. What is said in chats it
    remembers for as long as it is there. `private` are hosts that runs may reach although they are on a private
    network, when the run's own `egress` names them.
    """

    def __init__(
        self,
        image: Image | None = None,
        *,
        private: Sequence[str] = (),
        size: PoolSize | None = None,
        lasting: bool = True,
        log: Path | None = None,
    ) -> None:
        image = image or find_image(root=_images())
        self._objects = open_objects("memory:")
        size, chat = size or PoolSize(spares=2), ChatDesk(MemoryChats())
        desk = Desk({"messages.find": chat.find}, {"messages": chat.note})
        rules = Rules(size=size, private=_hosts(private), desk=desk, lasting=lasting)
        self._runner = Runner.on(image, objects=self._objects, rules=rules, log=log)
        self._engine = Engine(MemoryJournal(keep_runs=100), self._runner, name="local")

    async def __aenter__(self) -> Self:
        await self._runner.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.close()

    async def run(self, flow: Flow, **values: Any) -> Answer:
        """Run a flow to its end; see `flowray.run` for the values. Raises the error of a run that failed."""
        return await self.answer(await self.prepare(flow, **values))

    async def answer(self, request: RunRequest) -> Answer:
        """Carry out what was prepared."""
        try:
            outcome = fold(await all_whole(await self._engine.execute(request), self._objects))
        finally:
            await self._forget(request)
        if outcome.paused is not None:
            raise paused(request.run, outcome.paused, how="It can go on only on a service: flowray publish FLOW.")
        outcome.require_success(request)
        nodes = answering(request.flow, output_type=request.output_type, output_component=request.output_component)
        results = [outcome.results[node] for node in nodes if node in outcome.results]
        return Answer(run=request.run, session=request.session, results=results)

    async def events(self, flow: Flow, **values: Any) -> AsyncGenerator[Recorded, None]:
        """Run a flow and yield what happens, as it happens. Closing the generator cancels the run."""
        request = await self.prepare(flow, stream=True, **values)
        try:
            async with aclosing(self._engine.run(request)) as told:
                async for recorded in told:
                    yield await whole(recorded, self._objects)
        finally:
            await self._forget(request)

    async def expand(self, spec: str) -> Mapping[str, Json]:
        """Return the Langflow document of a compact flow description; `FlowFormatError` says what is wrong with it."""
        refuse_too_large(spec)
        try:
            document: Mapping[str, Json] = (await self._runner.examine("expand", {"spec": spec}))["flow"]
        except ComponentFailedError as error:
            raise FlowFormatError(error.message) from error
        return document

    async def prepare(self, flow: Flow, **values: Any) -> RunRequest:
        """Return the request to run a flow with these values; refuses what cannot run, also before the start."""
        specs = known_components()
        flow = with_sources(flow, specs.values())
        require_runnable(check(flow, specs or None))
        variables, egress = _variables(values.pop("variables", None) or {}), _hosts(values.pop("egress", ()))
        session = values.pop("session_id", None)
        facts = {name: values.pop(name) for name in _FACTS & values.keys()}
        _require_known_types(facts)
        flow_id = flow.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:flow:{flow.name}"))
        run = RunId(str(uuid.uuid4()))
        tweaks, files = await self._uploaded(flow, run, flow_id, _tweaks(values))
        flow = tweak(flow, _typed(flow, tweaks), stream=bool(facts.get("stream")))
        return RunRequest(
            run=run,
            tenant=TENANT,
            flow=flow,
            flow_id=flow_id,
            plan=plan(flow, specs=specs),
            variables=variables,
            egress=common(egress, hosts_of(flow)),
            files=files,
            **{"session": session or flow_id, **facts},
        )

    async def _uploaded(
        self, flow: Flow, run: RunId, flow_id: str, tweaks: dict[str, Json]
    ) -> tuple[dict[str, Json], dict[str, Ref]]:
        """Put files that the caller names where the sandbox finds them.

        Only the caller's own words are read: a path that a flow brings with it never leaves this machine's disk.
        """
        files: dict[str, Ref] = {}
        changed = dict(tweaks)
        for key, name, value in _files_named(flow, tweaks):
            local = Path(value)
            same_name = f"{flow_id}/{local.name}" in files
            inside = f"{flow_id}/{len(files)}-{local.name}" if same_name else f"{flow_id}/{local.name}"
            files[inside] = await self._objects.put(path(TENANT, "files", run, str(len(files))), _content(local))
            changed[key] = {**changed[key], name: inside}
        return changed, files

    async def _forget(self, request: RunRequest) -> None:
        """Let go of what one run needed: nobody reads it again, and there may be thousands."""
        for kind in ("values", "files"):
            await self._objects.clear(path(TENANT, kind, request.run))


def image_for(flow: Flow) -> Image:
    """Return the environment image that has what a flow's nodes of other frameworks need; else the default one."""
    names = sorted({adapter.shape.image for node in flow.nodes if (adapter := adapter_of(node)) is not None})
    if len(names) > 1:
        listed = " and ".join(f"`{name}`" for name in names)
        raise InvalidRequestError(
            f"The flow needs the environment images {listed}, and here is one sandbox. Run it on a service that has a "
            "pool with each: flowray publish FLOW."
        )
    return find_image(Path(names[0]) if names else None, _images())


def _hosts(given: Sequence[str]) -> tuple[str, ...]:
    # A text is a sequence, too: each of its letters would be a host.
    if isinstance(given, str):
        raise InvalidRequestError(f'Hosts come as a list: ["{given[:80]}"].')
    return tuple(given)


def _variables(given: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
        raise InvalidRequestError('Variables come by name, each a text: variables={"OPENAI_API_KEY": "..."}.')
    return given


def _require_known_types(facts: Mapping[str, Json]) -> None:
    for name, known in _TYPES.items():
        if name in facts and facts[name] not in known:
            raise InvalidRequestError(f"`{name}` is one of {', '.join(known)}, not `{str(facts[name])[:80]}`.")


def _images() -> Path | None:
    folder = os.environ.get("FLOWRAY_IMAGES")
    return Path(folder) if folder else None


def _tweaks(values: Mapping[str, Any]) -> dict[str, Json]:
    """Return `node.field` names as Langflow's tweaks; a bare name is a field of every node that has it."""
    tweaks: dict[str, Json] = dict(values.get("tweaks") or {})
    for name, value in values.items():
        node, dot, field = name.rpartition(".")
        if name == "tweaks":
            continue
        if not dot:
            tweaks[name] = value
        else:
            tweaks[node] = {**tweaks.get(node, {}), field: value}
    return tweaks


def _fields(flow: Flow, key: str) -> Mapping[str, Field]:
    return next((node.fields for node in flow.nodes if key in (node.id, node.display_name)), {})


def _files_named(flow: Flow, tweaks: Mapping[str, Json]) -> Iterator[tuple[str, str, str]]:
    for key, values in tweaks.items():
        fields = _fields(flow, key)
        for name, value in values.items() if isinstance(values, dict) else ():
            if name in fields and fields[name].type == "file" and isinstance(value, str):
                yield key, name, value


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise InvalidRequestError(f"Cannot read {path}: {cause.strerror}.") from cause


def _typed(flow: Flow, tweaks: Mapping[str, Json]) -> dict[str, Json]:
    """Read numbers and truth values from text, which is all that a command line has."""
    return {
        key: {name: _as_typed(_fields(flow, key).get(name), value) for name, value in values.items()}
        if isinstance(values, dict)
        else values
        for key, values in tweaks.items()
    }


def _as_typed(field: Field | None, value: Json) -> Json:
    if field is None or field.type not in _NUMERIC or not isinstance(value, str):
        return value
    try:
        return orjson.loads(value.lower())
    except orjson.JSONDecodeError as cause:
        raise InvalidRequestError(f"Field `{field.name}` takes a {field.type}, not `{value[:80]}`.") from cause
