"""`flowray versions ...`: what a flow was, what has changed since, and which version is called what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flowray.client import Client
from flowray.client import version_calls as calls
from flowray.errors import InvalidRequestError
from flowray_serve.cli.changes import lines
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, moment_of, say, say_json, table
from flowray_serve.cli.writing import writing

_SHARE = 0.1

app = typer.Typer(help="Versions of published flows: list, compare, roll back, tag.", no_args_is_help=True)
FlowName = Annotated[str, typer.Argument(help="A published flow, by id or endpoint name.")]
Version = Annotated[str, typer.Argument(help="A tag, v3, latest, or a digest or its first 8 digits.")]


@app.command("list")
def list_(flow: FlowName, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """List the versions of a flow, the newest first."""
    with connect(url, key) as client:
        found = list(_all(client, flow))
    if as_json:
        say_json(found)
        return
    say(table(("version", "at", "digest", "tags", "", "about"), [_row(one) for one in found]))


@app.command()
def diff(
    flow: FlowName,
    before: Version,
    after: Annotated[str, typer.Argument(help="The later one.")] = "latest",
    *,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Say what is different in a later version, node by node."""
    with connect(url, key) as client:
        found = client.ask(calls.differences(flow, before, after))
    if as_json:
        say_json(found)
    else:
        say("\n".join(lines(found)) or "No difference that a run would notice.")


@app.command()
def rollback(flow: FlowName, version: Version, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Have a flow be what it was in a version. That is a new version: nothing is lost."""
    with connect(url, key) as client:
        published = client.ask(calls.activate(flow, version))
        newest = next(_all(client, flow))
    if as_json:
        say_json(newest)
    else:
        say(f"{published.name} is now {newest['version_tag']} (version {published.version[:12]}).")


@app.command()
def tag(
    flow: FlowName,
    name: Annotated[str, typer.Argument(help="The tag, such as prod.")],
    version: Annotated[str, typer.Argument(help="Where it shall stand.")] = "latest",
    *,
    canary: Annotated[str, typer.Option(help="Another version, to send a share of the tag's runs to.")] = "",
    share: Annotated[
        float | None, typer.Option(min=0.0001, max=0.9999, help="Which share of them. Default: a tenth.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away instead.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Name a version. A tag that stands elsewhere is moved; runs of FLOW@TAG follow from the next one on.

    With --canary, a share of those runs goes to another version; tag again without to end that.
    """
    if remove and (canary or share is not None):
        raise InvalidRequestError("Give --remove, or --canary and --share, not both.")
    if share is not None and not canary:
        raise InvalidRequestError("--share is a canary's: name that as well, with --canary VERSION.")
    with connect(url, key) as client:
        if remove:
            client.ask(calls.untag(flow, name))
            said: Mapping[str, Any] = {"tag": name, "version": None}
        else:
            said = client.ask(calls.tag(flow, name, version, canary=canary, share=_SHARE if share is None else share))
    if as_json:
        say_json(said)
    else:
        say(f"{flow}@{name} is gone." if remove else f"{flow}@{name} is version {_placed(said)}.")


@app.command()
def note(flow: FlowName, text: str, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Say something about what the flow is now."""
    with connect(url, key) as client:
        said = client.ask(calls.describe(flow, text))
    say_json(said) if as_json else say(f"{said['version_tag']}: {said['description']}")


@app.command()
def forget(flow: FlowName, version: Version, *, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """Forget a version that is neither current nor tagged."""
    with connect(url, key) as client:
        client.ask(calls.forget(flow, version))
    say_json({"forgotten": version}) if as_json else say(f"{version} of {flow} is forgotten.")


@app.command()
def export(
    flow: Annotated[str, typer.Argument(help="A published flow, by id or endpoint name; FLOW@VERSION as well.")],
    version: Annotated[str, typer.Argument(help="Which version; without one, what the flow is now.")] = "",
    *,
    out: Annotated[Path | None, typer.Option(help="The file; default: standard output.")] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """Write a version as a Langflow export, without the values of secrets."""
    import orjson

    from flowray.flow.export import exported

    if version and "@" in flow:
        raise InvalidRequestError(f"`{flow[:80]}` names a version: leave out `{version[:80]}`.")
    with connect(url, key) as client:
        document = client.ask(calls.document(f"{flow}@{version}" if version else flow))
    text = orjson.dumps(exported(document), option=orjson.OPT_INDENT_2).decode()
    if out is None:
        say(text)
        return
    with writing(out):
        out.write_text(text)


def _all(client: Client, flow: str) -> Iterator[Mapping[str, Any]]:
    offset, total = 0, 1
    while offset < total:
        page = client.ask(calls.versions(flow, offset=offset))
        yield from page["entries"]
        offset, total = offset + max(len(page["entries"]), 1), page["total"]


def _placed(said: Mapping[str, Any]) -> str:
    canary = said.get("canary")
    version = str(said["version"])[:12]
    return f"{version}, and {canary['version'][:12]} for {canary['share']:.4g} of its runs" if canary else version


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    mark = "current" if one["current"] else "" if one["published"] else "kept aside"
    return (
        one["version_tag"],
        moment_of(one["created_at"]),
        one["version"][:12],
        ", ".join([*one["tags"], *(f"{tag} ({share:.4g})" for tag, share in one["canary_of"].items())]),
        mark,
        one["description"] or "",
    )
