"""`flowray publish FLOW...`: put flows on the service, or bring them up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flowray.client import Client, PublishedFlow
from flowray.client.sources import document_of, errors_of, read_description
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
        # Read before the first is published: a mistyped name leaves nothing half done.
        documents = [_document(client, path) for path in flows]
        published = _published(client, documents, as_json=as_json)
    if any(_is_broken(each) for each in published):
        raise typer.Exit(FAILED)


def _published(client: Client, documents: Sequence[Mapping[str, Any]], *, as_json: bool) -> Sequence[PublishedFlow]:
    """Publish one after the other. Those before one that is refused are published, and told."""
    published: list[PublishedFlow] = []
    try:
        for document in documents:
            published.append(client.publish(document))
            if not as_json:
                _tell(published[-1])
    finally:
        if as_json and published:
            say_json([asdict(each) for each in published])
    return published


def _document(client: Client, path: Path) -> Mapping[str, Any]:
    if path == INPUT:
        with errors_of(NAME):
            return document_of(parse(read_export(), Bounds()))
    if path.suffix != ".flow":
        return document_of(path)
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
