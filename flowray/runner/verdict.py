"""How a job ended: what the sandbox claims, held against what its host saw. A claim counts when nothing denies it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from typing import Literal

from flowray.engine.events import FailureKind
from flowray.errors import ChannelError
from flowray.flow.types import Json, NodeId
from flowray.runner.claims import cause_of
from flowray.runner.frames import RESULT, Caps, Frame, parsed
from flowray.runner.masking import Mask
from flowray.sandbox.child import Exit
from flowray.sandbox.limits import Limits

_CLAIMABLE: Mapping[str, FailureKind] = {
    "component": "component",
    "value": "value",
    "variable": "variable",
    "memory": "memory",
}
_MUCH = 0.5  # of the memory that a sandbox may have
_LONGEST = 100_000


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What the host saw: the last frame, a broken rule, why it stopped the sandbox, how that exited.

    `overran` is the node that took longer than it may.
    """

    said: Frame | None = None
    broken: str = ""
    stopped: Literal["", "timeout", "cancelled"] = ""
    lost: bool = False
    overran: NodeId | None = None
    exit: Exit | None = None
    cpu_s: float = 0.0
    peak_mib: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a job gave no result."""

    kind: FailureKind
    error: str
    node: NodeId | None = None
    error_type: str = ""
    traceback: str = ""
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Who is judged: the nodes it may speak of (`known` are all of its flow), its limits, what it must not tell.

    `walls` are the seconds that some of its nodes may take each; `cautious` nodes begin once their start is on record.
    """

    nodes: frozenset[NodeId]
    known: frozenset[NodeId]
    limits: Limits
    mask: Mask
    caps: Caps
    walls: Mapping[NodeId, float] = _field(default_factory=dict)
    cautious: frozenset[NodeId] = frozenset()


def judge(job: Job, ending: Ending) -> Mapping[str, Json] | Failure:
    """Return the job's result, or its failure."""
    if ending.broken:
        return Failure(kind="protocol", error=f"The sandbox broke the frame protocol: {ending.broken}.")
    if ending.said is None:
        return _unsaid(job, ending)
    try:
        said = parsed(ending.said.payload, job.caps)
    except ChannelError as violation:
        return judge(job, Ending(broken=violation.message))
    if ending.said.kind == RESULT:
        return said
    return _cancelled() if ending.stopped == "cancelled" else _claimed(job, said)


def _claimed(job: Job, said: Mapping[str, Json]) -> Failure:
    node = said.get("node")
    return Failure(
        kind=_CLAIMABLE.get(str(said.get("kind")), "component"),
        error=job.mask.text(_text(said, "error") or "The component failed without saying why."),
        node=NodeId(node) if isinstance(node, str) and node in job.nodes else None,
        error_type=job.mask.text(_text(said, "error_type")),
        traceback=job.mask.text(_text(said, "traceback")),
        cause=cause_of(said),
    )


def _unsaid(job: Job, ending: Ending) -> Failure:
    if ending.lost:
        return Failure(kind="lost", error="The runner's zygote died, and the sandbox with it; the step may have run.")
    if ending.overran is not None:
        limit_s = job.walls[ending.overran]
        error = f"The node ran longer than its limit of {limit_s:g} s."
        return Failure(kind="timeout", error=error, node=ending.overran)
    if ending.stopped == "timeout":
        return Failure(kind="timeout", error=f"The step ran longer than its limit of {job.limits.wall_s:g} s.")
    if ending.stopped == "cancelled":
        return _cancelled()
    return _died(job, ending.exit)


def _died(job: Job, end: Exit | None) -> Failure:
    if end is None:
        return Failure(kind="crashed", error="The sandbox closed its channel and did not end.")
    if end.signal is None:
        return Failure(kind="crashed", error=f"The component ended its process with exit code {end.code}.")
    if end.cpu_s >= job.limits.cpu_s:
        return Failure(kind="timeout", error=f"The step used up its {job.limits.cpu_s:g} s of processor time.")
    if end.short_of_memory or (end.signal == signal.SIGKILL and end.short_of_memory is None):
        # Pid 1 of a namespace cannot kill itself, and the host did not: it was the kernel, short of memory.
        return Failure(kind="memory", error=f"The step ran out of memory; its limit is {job.limits.memory_mib} MiB.")
    error = f"The sandbox was ended by signal {end.signal} ({_name_of(end.signal)})."
    if end.peak_mib > _MUCH * job.limits.memory_mib:
        error += (
            f" It had taken {end.peak_mib:.0f} of its {job.limits.memory_mib} MiB of memory: libraries that are "
            "refused more often end so. Give the pool more, or the node less at once."
        )
    return Failure(kind="crashed", error=error)


def _cancelled() -> Failure:
    return Failure(kind="cancelled", error="The step was cancelled.")


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _text(said: Mapping[str, Json], key: str) -> str:
    text = said.get(key)
    return text[:_LONGEST] if isinstance(text, str) else ""
