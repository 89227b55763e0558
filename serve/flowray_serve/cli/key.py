"""`flowray key ...`: API keys, of one's own tenant or, for operators, of any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from flowray.client import admin_calls as calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json, table

app = typer.Typer(help="API keys: make, list, replace and revoke them.", no_args_is_help=True)
OfTenant = Annotated[str, typer.Option("--tenant", help="Whose keys; default: those of the key's own tenant.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as `flowray key list` shows it.")]


@app.command("list")
def list_(*, tenant: OfTenant = "", url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """List keys by their first characters."""
    with connect(url, key) as client:
        keys = client.ask(calls.keys(tenant))
    if as_json:
        say_json(keys)
        return
    rows = [
        (
            one["id"],
            f"{one['prefix']}...",
            one["name"],
            ", ".join(one["roles"]),
            one["expires_at"] or "never",
            one["last_used_at"] or "never",
        )
        for one in keys
    ]
    say(table(("id", "key", "name", "roles", "ends", "last used"), rows))


@app.command()
def create(
    *,
    tenant: OfTenant = "",
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    role: Annotated[
        list[str] | None, typer.Option(help="viewer, runner, editor, admin or operator; may be given more than once.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="After how many days it ends; default: never.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is said once, here."""
    ends = None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()
    with connect(url, key) as client:
        made = client.ask(calls.create_key(tenant, {"name": name, "roles": role or None, "expires_at": ends}))
    if as_json:
        say_json(made)
        return
    say(made["api_key"])


@app.command()
def rotate(
    key_id: KeyId,
    *,
    tenant: OfTenant = "",
    grace_s: Annotated[float, typer.Option("--grace", min=0, help="Seconds that the old key goes on working.")] = 0,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one that may the same; prints the new one."""
    with connect(url, key) as client:
        made = client.ask(calls.rotate_key(tenant, key_id, grace_s=grace_s))
    if as_json:
        say_json(made)
        return
    say(made["api_key"])


@app.command()
def revoke(key_id: KeyId, *, tenant: OfTenant = "", url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Revoke a key, at once and everywhere."""
    with connect(url, key) as client:
        client.ask(calls.revoke_key(tenant, key_id))
    if as_json:
        say_json({"revoked": key_id})
        return
    say(f"Revoked {key_id}.")
