"""`flowray migrate FLOW`: what another release of lfx would change in a flow, and the flow with what is safe of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from flowray.client import Client
from flowray.client import version_calls as of_versions
from flowray.client.sources import read_document
from flowray.component.migrated import Migrated, migrated
from flowray.component.release import Release
from flowray.component.upgrade import NodeUpgrade, judged
from flowray.errors import InvalidRequestError
from flowray.flow.export import exported, imported
from flowray.flow.langflow import read
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.releases import release_of
from flowray_serve.cli.shadow import Shadowed, shadowed
from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.cli.writing import writing

_WORDS = {
    "same": "is up to date",
    "safe": "takes the new source",
    "breaking": "stays as it is: what it has saved does not fit",
    "edited": "stays as it is: its source was edited by hand",
    "unknown": "stays as it is: no component of this release",
}


@dataclass(frozen=True)
class _Subject:
    """The flow as it is; `name` is what the service knows it by, when it came from there."""

    document: Mapping[str, Any]
    name: str | None


def command(
    flow: Annotated[str, typer.Argument(help="A Langflow export, or a published flow such as my-flow@prod.")],
    *,
    to: Annotated[str, typer.Option(help="A version of lfx, or a component index; default: the installed one.")] = "",
    also: Annotated[list[str] | None, typer.Option(help="A node to change although that is not safe.")] = None,
    drop_edges: Annotated[bool, typer.Option("--drop-edges", help="Take out wires that would not hold.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the changed flow to this file.")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it as the flow's next version.")] = False,
    shadow: Annotated[
        list[str] | None, typer.Option(help="A recorded run: replay it on both versions and compare.")
    ] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show what would change node by node and which wires would break. Exit code 1 when a shadow run differs."""
    release = release_of(to)
    with ExitStack() as opened:
        client = None if Path(flow).exists() else opened.enter_context(connect(url, key))
        subject = _subject(flow, client)
        upgrades = judged(read(subject.document), release)
        changed = migrated(subject.document, upgrades, release, also=also or (), drop_edges=drop_edges)
        if out is not None:
            _write(out, subject, changed)
        runs = _shadowed(client, subject, changed, shadow or [])
        published = _publish(client, subject, changed) if publish else None
    if as_json:
        done = {"written": out and str(out), "published": published}
        say_json({**_report(release, upgrades, changed, runs), **done})
    else:
        _tell(release, upgrades, changed, runs)
        if out is not None:
            say(f"Written to {out}.")
        if publish:
            say(f"{subject.name} is now version {published[:12]}." if published else "Nothing changed: not published.")
    if any(not one.same for one in runs):
        raise typer.Exit(FAILED)


def _subject(flow: str, client: Client | None) -> _Subject:
    if client is not None:
        return _Subject(client.ask(of_versions.document(flow)), flow.partition("@")[0])
    return _Subject(imported(read_document(Path(flow))), None)


def _write(out: Path, subject: _Subject, changed: Migrated) -> None:
    # What came from a file keeps what was in the file; what came from the service leaves it without secrets.
    document = changed.document if subject.name is None else exported(changed.document)
    with writing(out):
        out.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _shadowed(client: Client | None, subject: _Subject, changed: Migrated, runs: Sequence[str]) -> Sequence[Shadowed]:
    if not runs:
        return ()
    if client is None or subject.name is None:
        raise InvalidRequestError("--shadow replays runs of a published flow: name the flow, not a file.")
    return shadowed(client, subject.document, changed.document["data"], runs)


def _publish(client: Client | None, subject: _Subject, changed: Migrated) -> str | None:
    """The version that the flow is in now; None when nothing of it changed."""
    if client is None or subject.name is None:
        raise InvalidRequestError("--publish is for a published flow. A file is published by: flowray publish FILE")
    if not changed.changed:
        return None
    token = str(subject.document["version_token"])
    said = client.ask(of_versions.change(subject.document["id"], {"data": changed.document["data"]}, token=token))
    return str(said["version"])


def _report(
    release: Release, upgrades: Sequence[NodeUpgrade], changed: Migrated, runs: Sequence[Shadowed]
) -> Mapping[str, Any]:
    return {
        "to": release.version,
        "nodes": [asdict(one) for one in upgrades],
        "changed": list(changed.changed),
        "lost_edges": [
            {"source": edge.source, "output": edge.output, "target": edge.target, "field": edge.field}
            for edge in changed.lost
        ],
        "shadow": [asdict(one) | {"same": one.same} for one in runs],
    }


def _tell(release: Release, upgrades: Sequence[NodeUpgrade], changed: Migrated, runs: Sequence[Shadowed]) -> None:
    say(f"To lfx {release.version}:")
    for one in upgrades:
        taken = one.node in changed.changed and one.verdict != "safe"
        say(f"  {one.node} ({one.component}) {'takes the new source, as asked' if taken else _WORDS[one.verdict]}")
        for line in _details(one):
            say(f"      {line}")
    for edge in changed.lost:
        say(f"  lost: wire {edge.source}.{edge.output} > {edge.target}.{edge.field}")
    said = [one.verdict for one in upgrades]
    left = len(said) - said.count("same") - len(changed.changed)
    say(f"Nodes that change: {len(changed.changed)}; that stay behind: {left}; up to date: {said.count('same')}.")
    for run in runs:
        say(f"run {run.run}: {'the same on both versions' if run.same else f'{len(run.differences)} nodes differ'}")
        for found in run.differences:
            say(f"  {found['node']}\n    before: {found['before']}\n    now:    {found['now']}")


def _details(one: NodeUpgrade) -> list[str]:
    if one.source is None:
        return []
    named = (("new field", one.adds), ("no longer read", one.drops), ("breaks", one.breaks))
    listed = [f"{word} {name}" for word, names in named for name in names]
    return [f"source: {one.source[0][:12]} -> {one.source[1][:12]}", *one.reasons, *listed]
