"""`flowray key ...`: API keys, of one's own tenant or, for operators, of any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from flowray.client import admin_calls as calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json, table

app = typer.Typer(help="API keys: make, list, change, replace and revoke them.", no_args_is_help=True)
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
        list[str] | None,
        typer.Option(help="viewer, runner, editor, admin, operator, observer; may be given more than once."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="After how many days it ends; default: never.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is said once, here."""
    ends = None if days is None else _in(days)
    with connect(url, key) as client:
        made = client.ask(calls.create_key(tenant, {"name": name, "roles": role or None, "expires_at": ends}))
    if as_json:
        say_json(made)
        return
    say(made["api_key"])


@app.command()
def settle(
    key_id: KeyId,
    *,
    tenant: OfTenant = "",
    role: Annotated[list[str] | None, typer.Option(help="What it may from now on; default: as before.")] = None,
    days: Annotated[float | None, typer.Option(min=0, help="After how many days it ends; default: as before.")] = None,
    never: Annotated[bool, typer.Option("--never", help="It does not end.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Change what a key may, or when it ends. The key itself stays as it is."""
    if days is not None and never:
        raise typer.BadParameter("either --days or --never")
    change: dict[str, Any] = {"roles": role} if role else {}
    if days is not None or never:
        change["expires_at"] = None if days is None else _in(days)
    if not change:
        raise typer.BadParameter("nothing to change: name --role, --days or --never")
    with connect(url, key) as client:
        settled = client.ask(calls.settle_key(tenant, key_id, change))
    if as_json:
        say_json(settled)
        return
    say(f"{settled['id']}: {', '.join(settled['roles'])}; ends {settled['expires_at'] or 'never'}")


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


def _in(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()
