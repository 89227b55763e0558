"""A pool's Runners: each replica owns a zygote and its sandboxes, and takes steps over lanes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from ray import serve

from flowray.flow.types import Json
from flowray.runner.runner import EditorJob
from flowray_serve.cluster.garbage import collect_seldom
from flowray_serve.cluster.niceness import be_no_lighter
from flowray_serve.cluster.side_door import shut_side_door
from flowray_serve.deployments.scaling import RUNNING


class Post(Protocol):
    """What a Runner replica holds: a Runner that engines can find."""

    async def extract(self, code: str, name: str) -> Mapping[str, Json]:
        """Return what a component's source says of itself."""

    async def examine(self, job: EditorJob, facts: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return what a job of an editor's says."""

    @property
    def running(self) -> int:
        """How many steps are running."""

    def check(self) -> None:
        """Raise when steps that come here cannot be run."""

    async def close(self) -> None:
        """Take nothing new, let what runs end, and leave."""


class RunnerReplica:
    """One replica. `build` is called in the replica's own process, with the replica's name.

    Ray Serve places it, asks after its health and replaces it; steps come over its lanes, and only what is rare comes
    as a call.
    """

    async def __init__(self, build: Callable[[str], Awaitable[Post]]) -> None:  # type: ignore[misc] # Serve awaits it
        be_no_lighter()
        collect_seldom()
        shut_side_door()
        self._post = await build(serve.get_replica_context().replica_id.unique_id)

    async def extract(self, code: str, name: str) -> Mapping[str, Json]:
        """Return what a component's source says of itself, after loading it in a sandbox."""
        return await self._post.extract(code, name)

    async def examine(self, job: EditorJob, facts: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return what a job of an editor's says, after doing it in a sandbox."""
        return await self._post.examine(job, facts)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve's word for what its autoscaling goes by: steps come over lanes, so Serve cannot count them itself."""
        return {RUNNING: self._post.running}

    def check_health(self) -> None:
        """Serve replaces the replica when this raises."""
        self._post.check()

    async def __del__(self) -> None:
        """Serve's word for an orderly end."""
        if hasattr(self, "_post"):
            await self._post.close()
