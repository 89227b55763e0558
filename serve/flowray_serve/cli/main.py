"""The `flowray` command: gathers the verbs, and turns errors into one line and an exit code.

Exit codes: 0 ok, 1 the run failed, a check found errors, or the service refuses for now, 2 wrong usage, 3 the service
cannot be reached, 4 the run waits for an answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from flowray.errors import FlowRayError, InvalidRequestError
from flowray_serve.cli import (
    apply,
    audit,
    batch,
    check,
    deadletters,
    demo,
    diff,
    doctor,
    down,
    flows,
    image,
    key,
    migrate,
    node,
    pending,
    plan,
    publish,
    pull,
    push,
    quota,
    reindex,
    resume,
    run,
    runner,
    runs,
    secrets,
    submit,
    tenant,
    up,
    usage,
    versions,
    watch,
)
from flowray_serve.cli.ending import report
from flowray_serve.cli.replay import command as replay
from flowray_serve.cli.rerun import command as rerun

app = typer.Typer(
    help="Run Langflow flows on Ray, each step in a sandbox of its own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LOCALLY = (up, down, run, check, plan, doctor, demo)
_ON_THE_SERVICE = (
    *(publish, flows, runs, watch, submit, batch, pending, resume, deadletters, reindex, apply, usage),
    *(migrate, pull, push, diff),
)
_VERBS = (*_LOCALLY, *_ON_THE_SERVICE)
for verb in _VERBS:
    app.command(verb.__name__.rpartition(".")[2])(verb.command)
for group in (image, node, tenant, key, secrets, audit, runner, quota, versions):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])

app.command("rerun")(rerun)
app.command("replay")(replay)


def main() -> None:
    """Run one verb."""
    as_json = "--json" in sys.argv
    try:
        _require_text(sys.argv[1:])
        if as_json:
            raise SystemExit(_without_pictures())
        _command()()
    except FlowRayError as error:
        raise SystemExit(report(error, as_json=as_json)) from None


@cache
def _command() -> Any:
    """Make the command once: reading what forty verbs take is longer than most of them last."""
    return get_command(app)


def _without_pictures() -> int:
    """Run the verb; wrong usage is raised as any error is, where Typer would draw a box around it."""
    try:
        return _command()(standalone_mode=False) or 0
    except TyperException as cause:
        said = cause.format_message()
        raise InvalidRequestError(said if said.endswith((".", "?")) else f"{said}.") from None


def _require_text(words: Sequence[str]) -> None:
    """Refuse words in another encoding; the names of files may be in any."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            if not os.access(word, os.F_OK):  # which takes words of any length
                said = os.fsencode(word).decode(errors="backslashreplace")
                raise InvalidRequestError(f"The argument `{said[:200]}` is not UTF-8.") from None
