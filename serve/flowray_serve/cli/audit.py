"""`flowray audit ...`: who did what, and whether the record of it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flowray.client import admin_calls as calls
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, moment, say, say_json, table

app = typer.Typer(help="The audit log: list, export, and verify that nobody changed it.", no_args_is_help=True)
OfTenant = Annotated[
    str, typer.Option("--tenant", help="Whose log; SERVICE for what operators did; default: the key's own tenant's.")
]
After = Annotated[int, typer.Option(min=0, help="Skip the records up to this number.")]


@app.command("list")
def list_(
    *,
    tenant: OfTenant = "",
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List what was done, in order."""
    with connect(url, key) as client:
        records = client.ask(calls.audit(tenant, after=after, limit=limit))
    if as_json:
        say_json(records)
        return
    say(table(("n", "at", "who", "from", "action", "object", "result"), [_row(record) for record in records]))


@app.command()
def export(*, tenant: OfTenant = "", after: After = 0, url: Url = "", key: Key = "") -> None:
    """Print all records, one JSON object a line, as `flowray audit verify FILE` reads them."""
    with connect(url, key) as client:
        say(client.ask(calls.audit_export(tenant, after=after)).rstrip("\n"))


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export; default: the log of the service itself.")] = None,
    *,
    tenant: OfTenant = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Find out whether a record was changed, taken out or moved; exit code 1 when one was."""
    faults = _faults_of(file) if file is not None else _faults_at(tenant, url, key)
    if as_json:
        say_json({"whole": not faults, "faults": faults})
    else:
        say("\n".join(faults) or "The log is whole.")
    if faults:
        raise typer.Exit(FAILED)


def _faults_at(tenant: str, url: str, key: str) -> Sequence[str]:
    with connect(url, key) as client:
        return client.ask(calls.audit_verified(tenant))


def _faults_of(file: Path) -> Sequence[str]:
    from flowray.tenancy.act import faults

    try:
        return faults(file.read_bytes().splitlines())
    except OSError as cause:
        raise InvalidRequestError(f"Cannot read {file}: {cause.strerror}.") from cause


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    at = moment(record["at"])
    about = " ".join(f"{name}={value}" for name, value in record["object"].items())
    result = f"{record['result']} ({record['status']})"
    return (str(record["n"]), at, record["who"], record["source"], record["action"], about, result)
