"""`flowray secrets ...`: what secrets are encrypted with."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.client import admin_calls as calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json

app = typer.Typer(help="Master keys: make one, and have it take over.", no_args_is_help=True)


@app.command("key")
def make(name: Annotated[str, typer.Argument(help="Its id, such as the date.")], *, as_json: AsJson = False) -> None:
    """Print a new master key, for FLOWRAY_SECRETS__KEYS or a line of the file FLOWRAY_SECRETS__KEY_FILE names."""
    from flowray.tenancy.sealing import new_master_key

    made = new_master_key(name)
    if as_json:
        say_json({"key": made})
        return
    say(made)


@app.command()
def rewrap(*, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Have the newest master key open all variables (operators)."""
    with connect(url, key) as client:
        done = client.ask(calls.rewrap_secrets())
    if as_json:
        say_json(done)
        return
    say(f"{done['rewrapped']} variables of {done['tenants']} tenants had an older master key.")
