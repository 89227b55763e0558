"""`flowray apply tenants.yaml`: have tenants be as a file declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flowray.client import Client
from flowray.client import admin_calls as calls
from flowray.errors import InvalidRequestError
from flowray.tenancy.declared import TenantChange, changes, declared, shown
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, say, say_json


def command(
    file: Annotated[Path, typer.Argument(help="A YAML file with `tenants` by id.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show how the service's tenants differ from a file, and make them alike. Twice is as good as once."""
    wanted = declared(_text(file))
    with connect(url, key) as client:
        found = changes(wanted, client.ask(calls.tenants()))
        if as_json:
            say_json([asdict(change) for change in found])
        else:
            say("\n".join(shown(change) for change in found) or "Nothing to change.")
        if dry_run or not found:
            return
        if not yes and not typer.confirm(f"Change {len(found)} tenants?", err=True):
            raise typer.Exit(FAILED)
        _apply(client, found)


def _apply(client: Client, found: Sequence[TenantChange]) -> None:
    for change in found:
        if change.is_new:
            client.ask(calls.create_tenant(change.tenant, change.settings))
        else:
            client.ask(calls.settle_tenant(change.tenant, change.settings, revision=change.revision))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as cause:
        raise InvalidRequestError(f"Cannot read {file}: {cause}.") from cause
