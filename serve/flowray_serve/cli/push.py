"""`flowray push FOLDER`: publish the flows of a folder that have changed, unless somebody else has changed them too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flowray.client import Client, version_calls
from flowray.errors import ConflictError
from flowray.flow.form import form
from flowray_serve.cli.changes import lines
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.folder import Folder
from flowray_serve.cli.pull import DryRun, OfFlows
from flowray_serve.cli.standing import Pair, pairs
from flowray_serve.cli.terminal import AsJson, say, say_json

# What the service says when it has another version than `If-Match` names.
OUTDATED = "flow_version_conflict"
_PUSHED = ("ahead", "only here")


def command(
    folder: Annotated[Path, typer.Argument(help="The folder, as `flowray pull` writes it; plain exports go too.")],
    *,
    flow: OfFlows = None,
    dry_run: DryRun = False,
    force: Annotated[bool, typer.Option("--force", help="Publish over what others have changed, too.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Push what changed. When others have changed the same flow, nothing at all is published: exit code 1."""
    with connect(url, key) as client:
        there = Folder(folder, client.url)
        found = list(pairs(client, there, flow or []))
        conflicts = [pair for pair in found if pair.standing == "apart" and not force]
        done = [_pushed(client, there, pair, force=force, dry_run=dry_run or bool(conflicts)) for pair in found]
    if not dry_run and not conflicts:
        there.sweep()
    if as_json:
        say_json(done)
    else:
        _tell(done, nothing=bool(conflicts))
    if conflicts:
        raise typer.Exit(FAILED)


def _pushed(client: Client, folder: Folder, pair: Pair, *, force: bool, dry_run: bool) -> Mapping[str, Any]:
    said: dict[str, Any] = {"id": pair.id, "name": pair.name, "standing": pair.standing, "done": _left(pair)}
    if pair.standing == "same" and not dry_run:
        folder.note(pair.id, pair.fingerprint or "")
    if pair.made is None or not (pair.standing in _PUSHED or (force and pair.standing == "apart")):
        return said
    said |= {"changes": pair.changes(push=True), "unfilled": pair.made.unfilled, "done": "would push"}
    if dry_run:
        return said
    token = str(pair.document["version_token"]) if pair.document is not None else None
    try:
        kept = client.ask(version_calls.put(pair.id, pair.made.document, token=token))
    except ConflictError as cause:
        if cause.code != OUTDATED:
            raise
        raise ConflictError(f"`{pair.name}` was published by somebody else just now: {cause.message}") from cause
    if pair.file is not None and pair.file.form is not None:
        folder.write(kept, pair.file)
    folder.note(pair.id, form(kept).fingerprint)
    return said | {"done": "created" if pair.document is None else "updated", "version": kept["version"]}


def _left(pair: Pair) -> str:
    named = {"same": "same", "behind": "behind", "apart": "conflict", "only there": "only there"}
    return named.get(pair.standing, "")


def _tell(done: list[Mapping[str, Any]], *, nothing: bool) -> None:
    for one in done:
        if one["done"] == "only there":
            continue
        say(f"{one['done']:<10} {one['name']}")
        for line in lines(one["changes"], indent="    ") if "changes" in one else ():
            say(line)
        for field in one.get("unfilled", ()):
            say(f"    secret: {field} has no value on the service; give it one there, or name a variable")
    if nothing:
        say("Nothing was published: pull, or look at both sides with `flowray diff`, or --force.")
