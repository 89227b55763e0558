"""One step in one sandbox, as the stream of events that the engine asked for."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from flowray.engine.commands import StartStep
from flowray.engine.events import (
    ConnectionEnded,
    StepEnd,
    StepEvent,
    StepFailed,
    StepFinished,
    StepPaused,
    StepStarted,
)
from flowray.engine.ports import Objects, RunRequest
from flowray.errors import (
    FlowRayError,
    InvalidRequestError,
    NotFoundError,
    RunnerUnavailableError,
    SandboxUnavailableError,
)
from flowray.flow.types import Json
from flowray.plan.types import StepId
from flowray.runner.asking import Answers
from flowray.runner.blame import Busy
from flowray.runner.body import StepBody
from flowray.runner.brood import Taken
from flowray.runner.dialogue import Dialogue, WayOut
from flowray.runner.frames import Caps
from flowray.runner.inquiry import Ear
from flowray.runner.masking import Mask
from flowray.runner.pool import Pool
from flowray.runner.spec import SpecTooLargeError, fitting, run_frames
from flowray.runner.values import InputsTooLargeError, fetch, store
from flowray.runner.verdict import Ending, Failure, Job, judge
from flowray.sandbox import relay
from flowray.sandbox.doors import doors_of
from flowray.sandbox.egress import Gate
from flowray.sandbox.limits import Limits
from flowray.sandbox.policy import Policy

log = logging.getLogger(__name__)

Retire = Callable[[Dialogue, Taken], None]
# Takes what a finished step says it has imported.
Learn = Callable[[Json], None]
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a runner runs steps with.

    `private` are hosts that the operator lets be on a private network; `retire` ends a sandbox whose step is over, or
    not waited for any more. `lowered` names the walls that the operator has lowered around all of them.
    """

    name: str
    pool: Pool
    objects: Objects
    gate: Gate
    private: tuple[str, ...]
    limits: Limits
    caps: Caps
    connections: relay.Caps
    retire: Retire
    learn: Learn
    lowered: tuple[str, ...] = ()


async def run_step(
    means: Means, request: RunRequest, start: StartStep, body: StepBody, answers: Answers
) -> AsyncGenerator[Sequence[StepEvent], None]:
    """Yield the step's events in batches. Closing the generator cancels the step."""
    asked = time.monotonic()
    job = _job(means, request, start, body)
    handed = await _hand_over(means, job, request, start, body, ear_of(answers, request, start.step))
    if isinstance(handed, StepFailed):
        yield (handed,)
        return
    taken, dialogue = handed
    began = time.monotonic()
    events: list[StepEvent] = [_started(means, start, queued_s=began - asked)]
    busy = Busy()
    try:
        while not dialogue.over:
            events += await store(await dialogue.events(), means.objects, request)
            if not dialogue.over:
                if events:
                    busy.watch(events)
                    yield events
                dialogue.recorded()
                events = []
        ending = await dialogue.ending(lost=taken.lost)
        took_s = time.monotonic() - began
        events += await store(await dialogue.events(), means.objects, request)
        await dialogue.settle()
        busy.watch(events)
        verdict = judge(job, ending)
        if isinstance(verdict, Failure):
            verdict = busy.blame(verdict)
        else:
            means.learn(verdict.get("imported"))
        last = _ended(start, verdict, took_s=took_s, usage=_usage(ending), paused=busy.paused)
    except FlowRayError as cause:
        last = _not_kept(start, body, cause)
    finally:
        means.retire(dialogue, taken)
    _record(request, last, taken, began)
    yield [*events, last]


async def refused(start: StartStep, why: str) -> AsyncGenerator[Sequence[StepEvent], None]:
    """Yield the end of a step that is not taken."""
    yield (StepFailed(step=start.step, kind="unavailable", error=why),)


def _started(means: Means, start: StartStep, *, queued_s: float) -> StepStarted:
    return StepStarted(
        step=start.step, attempt=start.attempt, runner=means.name, queued_s=queued_s, degraded=means.lowered
    )


def _job(means: Means, request: RunRequest, start: StartStep, body: StepBody) -> Job:
    return Job(
        nodes=frozenset(body.nodes),
        known=body.known,
        limits=fitting(means.limits, request.plan.by_id[start.step].resources, cpu_weight=start.cpu_weight),
        mask=Mask(request.variables.values()),
        caps=means.caps,
        cautious=request.plan.cautious.intersection(body.nodes),
        walls={node: limit for node in body.nodes if (limit := request.plan.terms_of(node).wall_s) is not None},
    )


def _way_out(means: Means, request: RunRequest, start: StartStep) -> WayOut | None:
    if not request.egress:
        return None
    policy = Policy(request.egress, means.private)
    record = partial(_record_connection, request)
    return WayOut(
        step=start.step,
        gate=means.gate,
        policy=policy,
        doors=doors_of(policy),
        caps=means.connections.within(start.traffic),
        record=record,
    )


async def _hand_over(
    means: Means, job: Job, request: RunRequest, start: StartStep, body: StepBody, ear: Ear
) -> tuple[Taken, Dialogue] | StepFailed:
    try:
        way_out = _way_out(means, request, start)
        inputs = await fetch(request, start, body, means.objects)
        frames = list(run_frames(request, start, body, inputs, job.limits, way_out.doors if way_out else None))
        return await begin(means.pool, job, frames, ear, way_out, lent=start.lent, tenant=request.tenant)
    except (SpecTooLargeError, InputsTooLargeError, NotFoundError, InvalidRequestError) as cause:
        return StepFailed(step=start.step, kind="value", error=str(cause))
    except FlowRayError as cause:
        return StepFailed(step=start.step, kind="unavailable", error=cause.message, retryable=True)


async def begin(  # noqa: PLR0913 - each is used on its own
    pool: Pool,
    job: Job,
    frames: Sequence[bytes],
    ear: Ear,
    way_out: WayOut | None = None,
    *,
    lent: bool = False,
    tenant: str = "",
) -> tuple[Taken, Dialogue]:
    """Hand a job to a spare; one that died while it was parked has run nothing, so the next one may have it."""
    for _ in range(_TRIES):
        taken = await pool.take(lent=lent, weight=job.limits.cpu_weight, tenant=tenant)
        dialogue = Dialogue(taken.sandbox, job, ear)
        try:
            if way_out is not None:
                await dialogue.grant(way_out)
            dialogue.open(frames)
        except BaseException as failure:
            dialogue.leave()
            pool.done(taken)
            if not isinstance(failure, ConnectionError | SandboxUnavailableError):
                raise
        else:
            return taken, dialogue
    raise RunnerUnavailableError("The spares die before they are given anything to do; see the zygote's log.")


def ear_of(answers: Answers, request: RunRequest, step: StepId) -> Ear:
    """Hear a sandbox for this run: whatever it asks is asked in the name of the run's tenant."""
    return Ear(
        answer=lambda ask: answers.answer(request, replace(ask, step=step)),
        note=lambda told: answers.note(request, told),
    )


def _usage(ending: Ending) -> Mapping[str, float]:
    return {"cpu_s": ending.cpu_s, **({"memory_mib": ending.peak_mib} if ending.peak_mib else {})}


def _ended(
    start: StartStep, verdict: Mapping[str, Json] | Failure, *, took_s: float, usage: Mapping[str, float], paused: bool
) -> StepEnd:
    if not isinstance(verdict, Failure):
        return (StepPaused if paused else StepFinished)(
            step=start.step, took_s=took_s, usage=usage, attempt=start.attempt
        )
    return StepFailed(
        step=start.step,
        kind=verdict.kind,
        error=verdict.error,
        node=verdict.node,
        error_type=verdict.error_type,
        traceback=verdict.traceback,
        cause=verdict.cause,
        attempt=start.attempt,
        took_s=took_s,
        usage=usage,
    )


def _not_kept(start: StartStep, body: StepBody, cause: FlowRayError) -> StepFailed:
    """Only what the service could not keep is worth another try: what nobody would keep is the component's fault."""
    return StepFailed(
        step=start.step,
        kind="lost" if cause.fault == "service" else "component",
        error=f"What the step made was not kept: {cause.message}",
        node=next(iter(body.nodes)) if len(body.nodes) == 1 else None,
        attempt=start.attempt,
    )


def _record(request: RunRequest, last: StepEnd, taken: Taken, began: float) -> None:
    """One line per step: facts only, never code, secrets or values."""
    if not log.isEnabledFor(logging.INFO):
        return
    facts = {
        "action": "step_ended",
        "tenant": request.tenant,
        "run": request.run,
        "step": last.step,
        "outcome": last.kind
        if isinstance(last, StepFailed)
        else "paused"
        if isinstance(last, StepPaused)
        else "finished",
        "took_s": time.monotonic() - began,
        "spare_age_s": began - taken.sandbox.born,
    }
    log.info("Step ended", extra=facts)


def _record_connection(request: RunRequest, connection: ConnectionEnded) -> None:
    facts = {"action": "connection_ended", "tenant": request.tenant, "run": request.run}
    log.info("Connection ended", extra={**facts, **asdict(connection)})
