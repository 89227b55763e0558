"""`flowray diff FOLDER`: what is different between a folder and the service, and which way each difference goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flowray_serve.cli.changes import lines
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.folder import Folder
from flowray_serve.cli.pull import OfFlows
from flowray_serve.cli.standing import Pair, pairs
from flowray_serve.cli.terminal import AsJson, say, say_json

_WAYS: Mapping[str, tuple[str, ...]] = {
    "ahead": ("push",),
    "only here": ("push",),
    "behind": ("pull",),
    "only there": ("pull",),
    "apart": ("push", "pull"),
}
_WORDS = {
    "ahead": "changed here",
    "behind": "changed on the service",
    "apart": "changed on both sides",
    "only here": "only here",
    "only there": "only on the service",
}


def command(
    folder: Annotated[Path, typer.Argument(help="The folder, as `flowray pull` writes it.")],
    *,
    flow: OfFlows = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Say what a push and a pull would change, node by node. Exit code 1 when there is a difference."""
    with connect(url, key) as client:
        found = [_told(pair) for pair in pairs(client, Folder(folder, client.url), flow or [])]
    different = [one for one in found if one["standing"] != "same"]
    if as_json:
        say_json(found)
    else:
        _tell(different)
    if different:
        raise typer.Exit(FAILED)


def _told(pair: Pair) -> Mapping[str, Any]:
    ways = {way: pair.changes(push=way == "push") for way in _WAYS.get(pair.standing, ())}
    return {"id": pair.id, "name": pair.name, "standing": pair.standing, **ways}


def _tell(different: list[Mapping[str, Any]]) -> None:
    for one in different:
        say(f"{one['name']}: {_WORDS[one['standing']]}")
        for way in _WAYS[one["standing"]]:
            say(f"  a {way} would change:")
            for line in lines(one[way], indent="    "):
                say(line)
    if not different:
        say("No difference.")
