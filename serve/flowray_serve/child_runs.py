"""Runs that steps start: of another flow of the same tenant, as a run of its own, below the one that asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from flowray.engine.events import ChildStarted
from flowray.engine.outcome import Outcome, answering
from flowray.engine.ports import RunRequest
from flowray.errors import InvalidRequestError, NotFoundError, RunnerUnavailableError
from flowray.flow.types import Flow, Json
from flowray.observe.trace_context import below
from flowray.plan.types import StepId
from flowray.runner.asking import Answer, Ask, NotAnsweredError
from flowray.runner.flow_desk import Flows, named, naming, whom
from flowray_serve.run_service import RunOrder

_INPUT_TYPES = frozenset({"chat", "text", "any"})


class TooDeepError(InvalidRequestError):
    """Flows ran flows that ran flows, further down than is allowed."""

    code = "subflow_too_deep"


class Runs(Protocol):
    """What prepares and drives runs."""

    async def prepare(self, tenant: str, flow_name: str, order: RunOrder, *, whom: str | None = None) -> RunRequest:
        """The request to run a published flow, in the version that is for this one."""

    async def execute(self, request: RunRequest) -> Outcome:
        """Run to the end; cancelling who waits cancels the run."""


class ChildRuns:
    """Answers `flows.run`. It is made before the engine that its runs need: `open` gives it the rest."""

    def __init__(self, flows: Flows, *, deepest: int) -> None:
        self._flows = flows
        self._deepest = deepest
        self._runs: Runs | None = None

    def open(self, runs: Runs) -> None:
        """From now on, runs can be started."""
        self._runs = runs

    async def answer(self, request: RunRequest, ask: Ask) -> Answer:
        """Run the flow that is named, and answer with what it answered."""
        if ask.what != "flows.run":
            raise NotAnsweredError(f"`{ask.what[:80]}` cannot be asked for here.")
        if self._runs is None:
            raise RunnerUnavailableError("No runs can be started here yet.")
        if request.depth >= self._deepest:
            raise TooDeepError(f"Flows run one another {self._deepest} levels deep here, which is the limit.")
        meant = await named(self._flows, request.tenant, ask.details)
        if meant is None:
            name = ask.details.get("flow_id") or ask.details.get("flow_name")
            raise NotFoundError(f"There is no flow `{str(name)[:80]}` to run.")
        flow, version = meant
        name, order = naming(flow, version), _order(request, ask.details)
        prepared = await self._runs.prepare(request.tenant, name, order, whom=whom(request))
        child = replace(
            prepared,
            asked_by=request.run,
            asking_step=ask.step,
            depth=request.depth + 1,
            trace=below(request.trace, request.run, ask.step),
        )
        if ask.tell is not None:
            ask.tell(ChildStarted(step=StepId(ask.step), child=child.run, flow=flow.id, flow_name=flow.name or ""))
        outcome = await self._runs.execute(child)
        outcome.require_success(child)
        return Answer(value={"run": child.run, "results": _results(child.flow, outcome, child.output_type)})

    async def note(self, request: RunRequest, told: Sequence[Ask]) -> None:
        """See `flowray.runner.asking.Answers`: nothing is told here."""


def _order(request: RunRequest, details: Mapping[str, Json]) -> RunOrder:
    """The child sees its parent's variables, and nothing else of it."""
    given: Any = (details.get("inputs") or [{}])[0]
    kind, found = given.get("type"), details.get("tweaks")
    tweaks = found if isinstance(found, dict) else {}
    # Components say an input both ways.
    is_tweaked = any(isinstance(values, dict) and "input_value" in values for values in tweaks.values())
    return RunOrder(
        input_value=None if is_tweaked else given.get("input_value"),
        input_type=kind if kind in _INPUT_TYPES else "chat",
        output_type=str(details.get("output_type") or "chat"),
        tweaks=tweaks,
        session=details.get("session_id") or None,
        variables=request.variables,
    )


def _results(flow: Flow, outcome: Outcome, output_type: str) -> list[Json]:
    nodes = answering(flow, output_type=output_type)
    return [outcome.results[node] for node in nodes if node in outcome.results]
