"""`flowray apply tenants.yaml`: have tenants be as a file declares them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flowray.client import Client
from flowray.client import admin_calls as calls
from flowray.errors import InvalidRequestError
from flowray.tenancy.declared import Declared, TenantChange, changes, declared, shown
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, counted, say, say_json, table


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
        found = _found(client, wanted)
        if not as_json:
            say("\n".join(shown(change) for change in found) or "Nothing to change.")
        made: Sequence[Mapping[str, Any]] = ()
        if found and not dry_run:
            if not yes:
                _confirm(len(found), as_json=as_json)
            made = _applied(client, found, as_json=as_json)
    _tell(found, made, as_json=as_json)


def _confirm(tenants: int, *, as_json: bool) -> None:
    """Ask, where somebody can answer; `InvalidRequestError` where nobody can."""
    if as_json or not sys.stdin.isatty():
        where = "with --json" if as_json else "without a terminal"
        raise InvalidRequestError(f"Nobody can be asked {where}, and nothing was changed: give --yes.")
    if not typer.confirm(f"Change {counted(tenants, 'tenant')}?", err=True):
        raise typer.Exit(FAILED)


def _tell(found: Sequence[TenantChange], made: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say_json({"changes": [asdict(change) for change in found], "keys": made})
    elif made:
        say("New keys, said once:")
        say(table(("tenant", "name", "key"), [(one["tenant"], one["name"], one["api_key"]) for one in made]))


def _found(client: Client, wanted: Mapping[str, Declared]) -> Sequence[TenantChange]:
    current = client.ask(calls.tenants())
    there = {str(one["id"]) for one in current}
    keys = {name: client.ask(calls.keys(name)) for name, one in wanted.items() if one.keys and name in there}
    return changes(wanted, current, keys)


def _applied(client: Client, found: Sequence[TenantChange], *, as_json: bool) -> Sequence[Mapping[str, Any]]:
    """Have the tenants be as declared; the keys that were made. Told before a failure, too: nobody can ask again."""
    made: list[Mapping[str, Any]] = []
    try:
        for change in found:
            _apply(client, change, made)
    except BaseException:
        if made:
            _tell(found, made, as_json=as_json)
        raise
    return made


def _apply(client: Client, change: TenantChange, made: list[Mapping[str, Any]]) -> None:
    """Have one tenant be as declared; `made` gets the keys that are made for it, as soon as they are."""
    if change.is_new:
        client.ask(calls.create_tenant(change.tenant, change.settings))
    elif change.settings:
        client.ask(calls.settle_tenant(change.tenant, change.settings, revision=change.revision))
    for key in change.keys:
        if key.after is None:
            client.ask(calls.revoke_key(change.tenant, key.id))
        elif key.id:
            client.ask(calls.settle_key(change.tenant, key.id, asdict(key.after)))
        else:
            made.append(client.ask(calls.create_key(change.tenant, {"name": key.name, **asdict(key.after)})))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as cause:
        raise InvalidRequestError(f"Cannot read {file}: {cause.strerror}.") from cause
    except UnicodeDecodeError as cause:
        raise InvalidRequestError(f"{file} is not UTF-8: {cause.reason} at byte {cause.start}.") from cause
