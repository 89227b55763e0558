"""`flowray pull FOLDER`: write the service's flows as files to review and to keep in Git."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.folder import Folder
from flowray_serve.cli.standing import Pair, pairs
from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.cli.writing import writing

OfFlows = Annotated[list[str] | None, typer.Option("--flow", help="Only this flow, by id, name or endpoint name.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def command(
    folder: Annotated[Path, typer.Argument(help="The folder; made when it is not there.")],
    *,
    flow: OfFlows = None,
    dry_run: DryRun = False,
    force: Annotated[bool, typer.Option("--force", help="Write over what was changed here, too.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Pull flows. What was changed here since the last time is kept; changed on both sides: exit code 1."""
    if not dry_run:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    with connect(url, key) as client:
        there = Folder(folder, client.url)
        done = [(pair, _pulled(there, pair, force=force, dry_run=dry_run)) for pair in pairs(client, there, flow or [])]
    if not dry_run:
        there.sweep()
    if as_json:
        say_json([{"id": pair.id, "name": pair.name, "standing": pair.standing, "done": did} for pair, did in done])
    for pair, did in () if as_json else done:
        say(f"{did:<9} {pair.name}")
    if any(did == "conflict" for _, did in done):
        raise typer.Exit(FAILED)


def _pulled(folder: Folder, pair: Pair, *, force: bool, dry_run: bool) -> str:
    if pair.document is None:
        return "only here"
    if pair.standing == "same":
        # What somebody wrote by hand is put in order; what is in order is not touched.
        did = "same"
    elif pair.standing == "ahead" and not force:
        return "kept"
    elif pair.standing == "apart" and not force:
        return "conflict"
    else:
        did = "created" if pair.file is None else "updated"
    if not dry_run:
        if did != "same":
            folder.write(pair.document, pair.file)
        folder.note(pair.id, pair.fingerprint or "")
    return did
