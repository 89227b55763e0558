"""Recorded runs on two versions of a flow: both replayed, neither reaching anybody, and held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowray.client import Client, calls
from flowray.client import version_calls as of_versions
from flowray_serve.cli.waited import end_of


@dataclass(frozen=True, kw_only=True)
class Shadowed:
    """What became of one recorded run: `before` and `now` are its replays on the one version and on the other."""

    run: str
    before: str
    now: str
    differences: Sequence[Mapping[str, Any]]

    @property
    def same(self) -> bool:
        """Whether every node came to the same."""
        return not self.differences


def shadowed(
    client: Client, document: Mapping[str, Any], canvas: Mapping[str, Any], runs: Sequence[str]
) -> tuple[Shadowed, ...]:
    """Replay each run with a version of a flow and with this canvas, which is kept aside for as long as it takes."""
    flow_id = document["id"]
    mine = f"{flow_id}@{document['version']}"
    kept = client.ask(of_versions.keep(flow_id, canvas, "For a migration's shadow runs"))
    try:
        return tuple(_one(client, run, mine, f"{flow_id}@{kept['version_tag']}") for run in runs)
    finally:
        client.ask(of_versions.forget(flow_id, kept["version_tag"]))


def _one(client: Client, run: str, mine: str, other: str) -> Shadowed:
    before, now = _replayed(client, run, mine), _replayed(client, run, other)
    found = client.ask(calls.differences(now, before))
    return Shadowed(run=run, before=before, now=now, differences=found)


def _replayed(client: Client, run: str, flow: str) -> str:
    job = client.ask(calls.replay(run, flow))
    end_of(client, job["job_id"])
    return str(job["job_id"])
