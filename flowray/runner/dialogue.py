"""One job's talk with one sandbox: from its spec over its events to its end, whatever the sandbox does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import orjson

from flowray.engine.events import ConnectionEnded, MessageAdded, Token
from flowray.errors import ChannelError, SandboxUnavailableError
from flowray.flow.types import Json, NodeId
from flowray.plan.types import StepId
from flowray.runner.channel import Channel
from flowray.runner.claims import Claim, Claims
from flowray.runner.frames import ASK, BLOB, CANCEL, ERROR, EVENT, REPLY, RESULT, Frame, FrameDecoder, frame, parsed
from flowray.runner.inquiry import Ear, Inquiry
from flowray.runner.sandboxes import Sandbox
from flowray.runner.verdict import Ending, Job
from flowray.runner.walls import Limit, Walls
from flowray.sandbox import relay
from flowray.sandbox.child import Exit
from flowray.sandbox.doors import Doors
from flowray.sandbox.egress import Connection, Gate, Lease
from flowray.sandbox.policy import Policy

FLUSH_S = 0.05
# Somebody may be reading along: what is spoken goes on at once, and then as often as the eye can follow.
_SPOKEN_EVERY_S = 0.005
_WAITING_BYTES = 1024 * 1024
_BEGIN = "begin"
_UNREAD_REPLIES_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """What a step may reach, through which gate, and what its connections may use.

    `doors` are those of the policy; `record` is told of each connection, also when nobody asks for events any more.
    """

    step: StepId
    gate: Gate
    policy: Policy
    doors: Doors
    caps: relay.Caps
    record: Callable[[ConnectionEnded], None]


class Dialogue:
    """Events pile up here until they are asked for, at most 50 ms, at most a megabyte: then the sandbox has to wait.

    Tokens and messages of a streaming run do not pile up.
    """

    def __init__(self, sandbox: Sandbox, job: Job, ear: Ear) -> None:
        self._sandbox = sandbox
        self._claims = Claims(nodes=job.nodes, known=job.known, mask=job.mask, caps=job.caps)
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._channel = Channel(sandbox.sock, FrameDecoder(job.caps), self._on_frames, self._on_end)
        self._inquiry = Inquiry(ear, mask=job.mask, send=self._channel.send)
        self._events: list[Claim | ConnectionEnded] = []
        self._waiting_bytes = 0
        # Due from the start: that a job began is told even when the sandbox says nothing for long.
        self._due = True
        self._spoken = False
        self._streams = False
        self._told_at = 0.0
        self._lease: Lease | None = None
        self._woken: asyncio.Future[None] | None = None
        self._flush: asyncio.Handle | None = None
        self._flush_at = 0.0
        self._deadline: asyncio.TimerHandle | Limit | None = None
        self._said: Frame | None = None
        self._peak_mib = 0.0
        self._broken = ""
        self._stopped: Literal["", "timeout", "cancelled"] = ""
        self._walls = Walls(job.walls, self._channel.unread, self._overrun) if job.walls else None
        self._overran: NodeId | None = None
        self._begins: list[int] = []
        self._told_begins: list[int] = []
        self.over = False
        # What it took of a core, as soon as that is known.
        self.cpu_s = 0.0

    def open(self, spec: Iterable[bytes]) -> None:
        """Send the job. `ConnectionError`: the sandbox died before, and another one may have the job."""
        self._sandbox.hold(self._job.limits)
        self._channel.open(spec)
        self._deadline = Limit(self._job.limits.wall_s, self._channel.unread, partial(self._stop, "timeout"))

    async def events(self) -> Sequence[Claim | ConnectionEnded]:
        """Wait for what is due, or for the end. Empty at the end, or when a node only waits to be let begin."""
        if not (self.over or self._begins or self._waiting_bytes > _WAITING_BYTES):
            self._woken = self._loop.create_future()
            self._schedule()
            try:
                await self._woken
            finally:
                self._woken = None
        self._unschedule()
        self._due = self._spoken = False
        self._told_at = self._loop.time()
        events, self._events = self._events, []
        self._told_begins += self._begins
        self._begins.clear()
        self._waiting_bytes = 0
        self._channel.resume()
        return events

    def cancel(self) -> None:
        """Ask the sandbox to stop, and stop it when it does not."""
        if self.over or self._stopped:
            return
        self._stopped = "cancelled"
        self._channel.send(frame(CANCEL))
        self._set_deadline(self._job.caps.grace_s)

    def add(self, claim: Claim | ConnectionEnded, size: int = 0) -> None:
        """Put an event among those of the sandbox."""
        self._events.append(claim)
        self._waiting_bytes += size
        if isinstance(claim, Token | MessageAdded):
            self._spoken = True
            if isinstance(claim, Token) and not self._streams:
                # The message that it begins went out a moment ago; a reader of tokens alone has heard nothing yet.
                self._streams, self._told_at = True, 0.0
        if self._waiting_bytes > _WAITING_BYTES:
            self._channel.pause()
            self._wake()
        else:
            self._schedule()

    def recorded(self) -> None:
        """Say that the events given out so far are on record: nodes that waited for that may begin."""
        told, self._told_begins = self._told_begins, []
        for number in told:
            self._channel.send(frame(REPLY, orjson.dumps({"ask": number, "ok": True, "value": None, "blob": False})))

    async def grant(self, way_out: WayOut) -> None:
        """Let the sandbox reach hosts; before the job is sent. `SandboxUnavailableError` when it cannot be."""
        doors = way_out.doors.doors
        listeners = await self._sandbox.listen([(door.address, door.port) for door in doors]) if doors else ()
        at_doors = list(zip(doors, listeners, strict=True))
        tell = partial(self._on_connection, way_out)
        try:
            self._lease = way_out.gate.attach(
                self._sandbox.gate, way_out.policy, tell, caps=way_out.caps, doors=at_doors
            )
        except OSError as cause:  # its zygote may have ended since it was given, and closed its listener
            for listener in listeners:
                listener.close()
            raise SandboxUnavailableError(f"The sandbox's way out cannot be opened: {cause}") from cause

    def leave(self) -> None:
        """Cut the sandbox off from all hosts."""
        if self._lease is not None:
            self._lease.close()

    @property
    def quiet(self) -> bool:
        """Whether nothing that it asked or told is still under way."""
        return self._inquiry.quiet

    async def settle(self) -> None:
        """Wait until what the sandbox told is written; raise what could not be."""
        await self._inquiry.settle()

    async def close(self) -> None:
        """Give up what it still asks."""
        await self._inquiry.close()

    async def ending(self, *, lost: asyncio.Event) -> Ending:
        """Return how it ended, once it is over. `lost` is set when the sandbox died with its parent."""
        if self._lease is not None:
            await self._lease.end()
        if self._said is not None and not self._broken:
            # Gone before its clock was read: the kernel has told its parent what it used.
            if not self.cpu_s and (gone := await self._exit()):
                self.cpu_s = gone.cpu_s
            return Ending(said=self._said, stopped=self._stopped, cpu_s=self.cpu_s, peak_mib=self._peak_mib)
        end = await self._exit()
        if end:
            self.cpu_s = end.cpu_s
        return Ending(
            broken=self._broken,
            stopped=self._stopped,
            overran=self._overran,
            lost=lost.is_set(),
            exit=end,
            cpu_s=self.cpu_s,
        )

    def _on_frames(self, frames: Sequence[Frame]) -> None:
        for kind, payload in frames:
            if kind == EVENT:
                claim = self._claims.event(payload)
                if claim is not None:
                    if self._walls is not None:
                        self._walls.watch(claim)
                    self.add(claim, len(payload))
            elif kind == BLOB:
                self._claims.blob(payload)
                self._waiting_bytes += len(payload)
            elif kind == ASK:
                self._ask(payload)
            elif kind in (RESULT, ERROR):
                # Its end of the channel has to close now: until then it could still break the rules.
                self._said = Frame(kind, payload)
                self.cpu_s, self._peak_mib = self._sandbox.cpu_s, self._sandbox.peak_mib
                self._set_deadline(self._job.caps.linger_s)

    def _schedule(self) -> None:
        if not (self._events or self._due) or self._woken is None:
            return
        now = self._loop.time()
        when = max(now, self._told_at + _SPOKEN_EVERY_S) if self._spoken else now + FLUSH_S
        if self._flush is not None:
            # Kept here: what is due at once is a handle without a time in uvloop.
            if self._flush_at <= when:
                return
            self._unschedule()
        self._flush_at = when
        self._flush = self._loop.call_at(when, self._wake)

    def _unschedule(self) -> None:
        """What was due has gone out, or goes out now: a later wake for it would find nothing."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    def _wake(self) -> None:
        self._unschedule()
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _ask(self, payload: bytes) -> None:
        """A sandbox that asks and does not read the answers breaks the rules."""
        if self._channel.unsent_bytes > _UNREAD_REPLIES_BYTES + self._inquiry.blob_bytes:
            raise ChannelError("the sandbox does not read the replies it asked for")
        said = parsed(payload, self._job.caps)
        if said.get("what") == _BEGIN:
            self._begin(said)
            return
        number = said.pop("blob", None)
        self._inquiry.take(said, payload, None if number is None else self._claims.blob_of(number))

    def _begin(self, said: Mapping[str, Json]) -> None:
        """A cautious node asks to begin; its start, which it told before, goes out at once."""
        number, node = said.get("ask"), said.get("node")
        if type(number) is not int or not isinstance(node, str) or node not in self._job.cautious:
            raise ChannelError("the sandbox asked to begin a node that need not ask")
        self._begins.append(number)
        self._wake()

    def _on_connection(self, way_out: WayOut, connection: Connection) -> None:
        # What a client asks for may hold a secret, as anything else that comes from inside.
        names = {name: self._job.mask.text(getattr(connection, name)) for name in ("host", "reason", "server_name")}
        ended = ConnectionEnded(step=way_out.step, **{**vars(connection), **names})
        way_out.record(ended)
        self.add(ended)

    def _on_end(self, violation: ChannelError | None) -> None:
        if violation is not None:
            self._broken = violation.message
            self._sandbox.kill()
        self._finish()

    def _stop(self, why: Literal["timeout", "cancelled"]) -> None:
        if self._said is None and not self._stopped:
            self._stopped = why
        self._sandbox.kill()
        # Closed here: a sandbox that cannot be killed at once must not hold up its run.
        self._channel.close()
        self._finish()

    def _overrun(self, node: NodeId) -> None:
        if self._said is None and not self._stopped:
            self._overran = node
        self._stop("timeout")

    def _set_deadline(self, after_s: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(after_s, self._stop, "timeout")

    def _finish(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._walls is not None:
            self._walls.close()
        self.over = True
        self._wake()

    async def _exit(self) -> Exit | None:
        """Return how the sandbox exited; None when it did not of itself.

        The kernel may take long to take down a large one that ran out of memory: what its group says of that counts
        also when the sandbox was killed once more meanwhile.
        """
        if (end := await self._exited()) is not None:
            return end
        self._sandbox.kill()
        end = await self._exited()
        return end if end is not None and end.short_of_memory else None

    async def _exited(self) -> Exit | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._job.caps.linger_s):
                return await self._sandbox.wait()
        return None
