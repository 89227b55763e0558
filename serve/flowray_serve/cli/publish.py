"""`flowray publish FLOW...`: put flows on the service, or bring them up to date."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flowray.client import Client, PublishedFlow
from flowray.client.sources import FlowSource, document_of, errors_of, read_description
from flowray.flow.document import Bounds, parse
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.standard_input import INPUT, NAME, read_export
from flowray_serve.cli.terminal import AsJson, say, say_json


def command(
    flows: Annotated[
        list[Path],
        typer.Argument(help="Langflow exports, or `.flow` files in lfx's compact form; - is an export on stdin."),
    ],
    *,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Publish flows. Publishing a flow again makes a new version of it; nothing is lost.

    Exit code 1 when one has errors: it is published, and cannot run as it is.
    """
    with connect(url, key) as client:
        published = [client.publish(_source(client, path)) for path in flows]
    if as_json:
        say_json([asdict(each) for each in published])
    for each in () if as_json else published:
        _tell(each)
    if any(_is_broken(each) for each in published):
        raise typer.Exit(FAILED)


def _source(client: Client, path: Path) -> FlowSource:
    if path == INPUT:
        with errors_of(NAME):
            return document_of(parse(read_export(), Bounds()))
    if path.suffix != ".flow":
        return path
    text = read_description(path)
    with errors_of(path):
        return client.expand(text)


def _tell(published: PublishedFlow) -> None:
    verb = "created" if published.created else "updated"
    say(f"{verb} {published.name}: {published.endpoint_name or published.id} (version {published.version[:12]})")
    for finding in published.findings:
        say(f"  {finding['severity']}: {finding['message']}")
    if _is_broken(published):
        say(f"  {published.name} is published, but cannot run as it is.")


def _is_broken(published: PublishedFlow) -> bool:
    return any(finding["severity"] == "error" for finding in published.findings)
