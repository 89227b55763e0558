"""`flowray tenant ...`: the tenants of a service. All of it takes an operator's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowray.client import admin_calls as calls
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, moment, say, say_json, table

app = typer.Typer(help="Tenants: who there is, and what is settled for each.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The tenant's id.")]
Settings = Annotated[list[str] | None, typer.Argument(help="SETTING=VALUE; a value is YAML, such as \\[x.org].")]
_TIMES = ("created_at", "changed_at")


@app.command("list")
def list_(*, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """List all tenants."""
    with connect(url, key) as client:
        tenants = client.ask(calls.tenants())
    if as_json:
        say_json(tenants)
        return
    say(table(("tenant", "state", "name"), [(one["id"], one["state"], one["name"]) for one in tenants]))


@app.command()
def show(tenant: Name, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Show what is settled for a tenant."""
    with connect(url, key) as client:
        _tell(client.ask(calls.tenant(tenant)), as_json=as_json)


@app.command()
def create(tenant: Name, settings: Settings = None, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Make a tenant. Give it keys with `flowray key create --tenant`."""
    with connect(url, key) as client:
        _tell(client.ask(calls.create_tenant(tenant, _read(settings))), as_json=as_json)


@app.command("set")
def set_(tenant: Name, settings: Settings = None, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    r"""Settle something for a tenant: `flowray tenant set acme 'egress=\[api.openai.com]'`."""
    with connect(url, key) as client:
        _tell(client.ask(calls.settle_tenant(tenant, _read(settings))), as_json=as_json)


@app.command()
def suspend(tenant: Name, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Refuse a tenant everything until it is resumed; nothing is lost."""
    with connect(url, key) as client:
        _tell(client.ask(calls.settle_tenant(tenant, {"state": "suspended"})), as_json=as_json)


@app.command()
def resume(tenant: Name, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """End a tenant's suspension."""
    with connect(url, key) as client:
        _tell(client.ask(calls.settle_tenant(tenant, {"state": "active"})), as_json=as_json)


@app.command()
def remove(
    tenant: Name,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="Remove all that it has as well, for good.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Forget a suspended tenant and revoke its keys."""
    with connect(url, key) as client:
        removed = client.ask(calls.remove_tenant(tenant, purge=purge))
    if as_json:
        say_json(removed)
        return
    say(f"Removed {tenant}; {removed['keys_revoked']} keys revoked, {removed['objects_purged']} objects purged.")


def _read(settings: list[str] | None) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise InvalidRequestError(f"`{setting[:80]}` must be SETTING=VALUE.")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as cause:
            raise InvalidRequestError(f"The value of `{name[:80]}` is not YAML.") from cause
    return found


def _tell(tenant: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(tenant)
        return
    say(table(("setting", "value"), [(name, _shown(name, value)) for name, value in tenant.items()]))


def _shown(name: str, value: Any) -> str:
    if name == "egress" and value is None:
        return "all that the pools allow"
    return moment(value) if name in _TIMES else str(value)
