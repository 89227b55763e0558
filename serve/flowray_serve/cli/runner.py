"""`flowray runner ...`: what Runners have learned. It takes an operator's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowray.client import admin_calls as calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json, table

app = typer.Typer(help="Runners: what they have learned of the flows they run.", no_args_is_help=True)


@app.callback()
def runner() -> None:
    """Group the verbs, of which there is one yet."""


@app.command()
def preload(
    *,
    pool: Annotated[str, typer.Option(help="Only this pool.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many modules to show, by pool.")] = 30,
    forget: Annotated[bool, typer.Option("--forget", help="Count anew from here.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show what runs had to import that their zygote could have for all, and the setting to paste."""
    with connect(url, key) as client:
        told = client.ask(calls.preload())
        if forget:
            client.ask(calls.forget_preload())
    if as_json:
        say_json(told)
        return
    for one in told["pools"]:
        if pool in ("", one["pool"]):
            _tell(one, limit)
    say("\nThe setting that preloads what two steps in a hundred, and at least two, had to import:\n")
    say(told["setting"])


def _tell(one: Mapping[str, Any], limit: int) -> None:
    modules = list(one["modules"].items())
    say(f"pool {one['pool']} (image {one['image']}): {one['steps']} steps, {len(modules)} modules imported late")
    if modules:
        say(table(("module", "steps"), [(module, str(count)) for module, count in modules[:limit]]))
    if len(modules) > limit:
        say(f"... and {len(modules) - limit} more")
