"""`flowray flows`: what is published, and the ids to run it by."""

from __future__ import annotations

from typing import Any

from flowray.client import PublishedFlow
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, moment_of, say, say_json, table

_SAID = ("name", "endpoint_name", "id", "version", "updated_at")


def command(*, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """List the published flows, the one that was changed last first."""
    with connect(url, key) as client:
        found = sorted(client.flows(), key=lambda flow: flow.updated_at, reverse=True)
    if as_json:
        say_json([_said(flow) for flow in found])
        return
    say(table(("name", "endpoint name", "id", "changed"), [_row(flow) for flow in found]))


def _said(flow: PublishedFlow) -> dict[str, Any]:
    return {name: getattr(flow, name) for name in _SAID}


def _row(flow: PublishedFlow) -> tuple[str, ...]:
    return (flow.name, flow.endpoint_name or "-", flow.id, moment_of(flow.updated_at))
