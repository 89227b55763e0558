"""The Runner: owns a zygote and its spares on one machine, and gives each step a sandbox of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from flowray.engine.commands import StartStep
from flowray.engine.events import RunFinished, RunId, StepEvent
from flowray.engine.failures import failure
from flowray.engine.ports import Objects, RunRequest
from flowray.flow.hosts import common
from flowray.flow.types import Json
from flowray.runner.asking import Answers, Desk
from flowray.runner.body import Bodies
from flowray.runner.brood import Taken
from flowray.runner.dialogue import Dialogue
from flowray.runner.frames import Caps
from flowray.runner.inquiry import Ear
from flowray.runner.masking import Mask
from flowray.runner.pool import Pool, PoolSize
from flowray.runner.sandboxes import StartNursery
from flowray.runner.spec import job_frames
from flowray.runner.step import Learn, Means, begin, refused, run_step
from flowray.runner.verdict import Failure, Job, judge
from flowray.sandbox import relay
from flowray.sandbox.egress import Gate
from flowray.sandbox.image import Image, default_packages
from flowray.sandbox.limits import Limits
from flowray.sandbox.start import Inside
from flowray.sandbox.walls import LowerableWall
from flowray.sandbox.zygote import Zygote

EditorJob = Literal["describe", "refresh", "validate", "prompt", "expand"]

log = logging.getLogger(__name__)

_JOB_S = 10
# How long a Runner that closes waits for what cancelled steps told to be written.
_WRITE_S = 5.0


def _nothing_learned(_: Json) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a Runner grants its sandboxes.

    `egress` are the hosts that its runs may reach at most; None leaves it to each run's own list. `private` are hosts
    that runs may reach although they are on a private network, when their own list names them. `desk` answers what
    steps ask of the world outside. `connections` is what those of one step may use at most. `lowered` names walls that
    are left out; `tenant` is the only one whose steps are taken, and has to be named then. A Runner that is not
    `lasting` starts in a third of the time, and its steps take longer.
    """

    size: PoolSize = field(default_factory=PoolSize)
    limits: Limits = field(default_factory=Limits)
    caps: Caps = field(default_factory=Caps)
    egress: tuple[str, ...] | None = None
    private: tuple[str, ...] = ()
    desk: Desk = field(default_factory=Desk)
    connections: relay.Caps = field(default_factory=relay.Caps)
    lowered: tuple[LowerableWall, ...] = ()
    lasting: bool = True
    tenant: str | None = None
    learn: Learn = _nothing_learned

    def __post_init__(self) -> None:
        """Fewer walls stand between tenants: there must be one only."""
        if self.lowered and self.tenant is None:
            raise ValueError("walls are lowered for one tenant, who has to be named")


@dataclass(frozen=True, kw_only=True)
class Stats:
    """A Runner at a glance. `alive` is whether it looks after its spares; `zygotes` counts starts."""

    name: str
    alive: bool
    parked: int
    at_work: int
    queued: int
    served: int
    zygotes: int


class Runner:
    """Implements the engine's `Steps` in this process. `Runner.on(image)` is the usual way to make one."""

    def __init__(
        self,
        start: StartNursery,
        *,
        objects: Objects,
        name: str = "local",
        rules: Rules | None = None,
        gate: Gate | None = None,
    ) -> None:
        rules = rules or Rules()
        self._desk = rules.desk
        self._pool = Pool(start, rules.size)
        self._egress = rules.egress
        self._tenant = rules.tenant
        self._bodies = Bodies()
        self._retiring: set[asyncio.Task[None]] = set()
        self._means = Means(
            name=name,
            pool=self._pool,
            objects=objects,
            gate=gate or Gate(),
            private=rules.private,
            limits=rules.limits,
            caps=rules.caps,
            connections=rules.connections,
            retire=self._retire,
            lowered=rules.lowered,
            learn=rules.learn,
        )

    @classmethod
    def on(
        cls,
        image: Image,
        *,
        objects: Objects,
        name: str = "local",
        rules: Rules | None = None,
        preload: Sequence[str] = (),
        log: Path | None = None,
    ) -> Runner:
        """Return a Runner of this environment image, with further modules preloaded; its zygote prints to `log`."""
        kept = rules or Rules()
        inside = Inside(preload=preload, always=default_packages(), lowered=kept.lowered)
        if not kept.lasting:
            inside = replace(inside, warm=("flowray_sandbox.groundwork",), lasting=False)

        async def start() -> Zygote:
            return await Zygote.start(image, inside, limits=kept.limits, log=log)

        return cls(start, objects=objects, name=name, rules=rules)

    async def start(self) -> None:
        """Start the zygote and the first spare. Seconds; from then on a sandbox is there when it is asked for."""
        await self._pool.start()

    async def close(self) -> None:
        """Let running steps end, then end everything."""
        try:
            await self._pool.close()
            await self._written()
        finally:
            self._means.gate.close()

    async def _written(self) -> None:
        """Wait until what cancelled steps told is written: their sandboxes are gone, but it has happened."""
        if not self._retiring:
            return
        _, late = await asyncio.wait(self._retiring, timeout=_WRITE_S)
        if late:
            log.error("What cancelled steps told was cut off", extra={"action": "told_cut_off", "steps": len(late)})

    def run(
        self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
    ) -> AsyncGenerator[Sequence[StepEvent], None]:
        """Run a step; closing the generator cancels it. `otherwise` answers what this Runner's own desk cannot."""
        if self._tenant not in (None, request.tenant):
            return refused(step, f"The Runner {self._means.name} takes steps of one tenant only, which is another one.")
        if self._egress is not None and request.egress != self._egress:
            request = replace(request, egress=common(request.egress, self._egress))
        answers = self._desk.before(otherwise)
        return run_step(self._means, request, step, self._bodies.of(request, step.step), answers)

    async def extract(self, code: str, name: str) -> Mapping[str, Json]:
        """Return what a component's source says of itself: its frontend node and what it imports."""
        return await self._do("extract", {"code": code, "name": name})

    async def examine(self, job: EditorJob, facts: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return what a job of an editor's says: `facts` are its code or text, and what the job is about."""
        return await self._do(job, facts)

    def stats(self) -> Stats:
        """Return the Runner at a glance."""
        pool = self._pool
        return Stats(
            name=self._means.name,
            alive=pool.alive,
            parked=pool.parked,
            at_work=pool.at_work,
            queued=pool.queued,
            served=pool.served,
            zygotes=pool.zygotes,
        )

    async def _do(self, name: str, facts: Mapping[str, Json]) -> Mapping[str, Json]:
        """Do a job that belongs to no run; raises the error of a job that failed."""
        limits = replace(self._means.limits, wall_s=_JOB_S, cpu_s=_JOB_S)
        job = Job(nodes=frozenset(), known=frozenset(), limits=limits, mask=Mask(()), caps=self._means.caps)
        taken, dialogue = await begin(self._pool, job, list(job_frames(name, facts, limits)), Ear())
        try:
            while not dialogue.over:
                await dialogue.events()
            verdict = judge(job, await dialogue.ending(lost=taken.lost))
        finally:
            self._retire(dialogue, taken)
        if not isinstance(verdict, Failure):
            return verdict
        if verdict.kind == "timeout":
            verdict = replace(verdict, error=f"The job `{name}` took a sandbox longer than its {_JOB_S:g} s.")
        raise _error(verdict)

    def _retire(self, dialogue: Dialogue, taken: Taken) -> None:
        """End a sandbox: at once when its job is over, else after asking it to stop."""
        if dialogue.over and dialogue.quiet:
            dialogue.leave()
            self._pool.done(taken, cpu_s=dialogue.cpu_s)
            return
        dialogue.cancel()
        retiring = asyncio.create_task(self._retired(dialogue, taken), name="cancelled job")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retired(self, dialogue: Dialogue, taken: Taken) -> None:
        """Wait until a cancelled job is over; the dialogue sees to it that this does not take long."""
        try:
            while not dialogue.over:
                await dialogue.events()
        finally:
            dialogue.leave()
            self._pool.done(taken, cpu_s=dialogue.cpu_s)
            await dialogue.close()


def _error(verdict: Failure) -> Exception:
    finished = RunFinished(
        status="failed",
        error=verdict.error,
        kind=verdict.kind,
        error_type=verdict.error_type,
        traceback=verdict.traceback,
    )
    return failure(RunId(""), finished)
