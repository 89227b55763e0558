"""`flowray quota ...`: what a tenant may have, and what of it is taken. To settle it takes an operator's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowray.client import admin_calls, share_calls
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json, table

app = typer.Typer(help="Quotas: what a tenant may have, and what of it is taken.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The tenant's id.")]
Limits = Annotated[list[str], typer.Argument(help="LIMIT=VALUE, such as runs=20; an empty value goes back to default.")]


@app.command()
def show(
    tenant: Annotated[str, typer.Argument(help="The tenant's id; without one, the key's own.")] = "",
    *,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show what is settled for a tenant's share, and what of it is taken now."""
    with connect(url, key) as client:
        found = client.ask(share_calls.quota(tenant))
    if as_json:
        say_json(found)
        return
    say(f"{found['tenant']}, weight {found['weight']:g}, {found['now']['steps_waiting']} steps waiting")
    say(table(("limit", "most", "now"), _rows(found)))


@app.command("set")
def set_(tenant: Name, limits: Limits, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Settle limits: `flowray quota set acme runs=20 cpu=8 weight=2 'rates={run: 100/s}'`. Others stay as they are."""
    with connect(url, key) as client:
        old = client.ask(admin_calls.tenant(tenant))
        quotas = _changed(old["quotas"], limits)
        client.ask(admin_calls.settle_tenant(tenant, {"quotas": quotas}, revision=old["revision"]))
        found = client.ask(share_calls.quota(tenant))
    if as_json:
        say_json(found)
        return
    say(table(("limit", "most", "now"), _rows(found)))


def _rows(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    now = found["now"]
    rows = [
        (name, "no limit" if most is None else f"{most:g}", f"{now[name]:g}" if name in now else "")
        for name, most in found["quota"].items()
    ]
    rows += [(f"rate {kind}", rate, "") for kind, rate in found["rates"].items()]
    for span in ("day", "month"):
        budget = found["budgets"][span]
        rows += [
            (f"{name} a {span}", f"{most:g}", f"{budget['used'].get(name, 0):.6g}")
            for name, most in budget["most"].items()
        ]
    return rows


def _changed(old: Mapping[str, Any], limits: list[str]) -> Mapping[str, Any]:
    import yaml

    new = dict(old)
    for limit in limits:
        name, equals, value = limit.partition("=")
        if not equals:
            raise InvalidRequestError(f"`{limit[:80]}` must be LIMIT=VALUE.")
        try:
            new[name] = yaml.safe_load(value)
        except yaml.YAMLError as cause:
            raise InvalidRequestError(f"The value of `{name[:80]}` is not YAML.") from cause
        if value == "":
            del new[name]
    return new
