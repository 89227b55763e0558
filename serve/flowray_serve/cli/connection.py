"""Which service a verb speaks to: named by options or environment, else the one that runs at FLOWRAY_HOME."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from flowray.client import Client
from flowray.errors import InvalidRequestError
from flowray_serve.home import Home

Url = Annotated[
    str, typer.Option("--url", envvar="FLOWRAY_URL", help="The service; default: the one started at FLOWRAY_HOME.")
]


def _key(context: typer.Context, given: str) -> str:
    """Refuse an empty key: a script whose variable is not set would go on with the operator's."""
    source = context.get_parameter_source("key")
    is_option = source is not None and source.name == "COMMANDLINE"
    if given or not (is_option or os.environ.get("FLOWRAY_KEY") == ""):
        return given
    empty, instead = ("`--key`", "leave the option out") if is_option else ("FLOWRAY_KEY", "unset it")
    raise InvalidRequestError(f"{empty} is empty: name a key, or {instead} to use the one that `flowray up` made.")


Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="FLOWRAY_KEY", callback=_key, help="An API key; default: the one that `flowray up` made."
    ),
]


def connect(url: str, key: str) -> Client:
    """A client for the service that the options name."""
    return Client(*address(url, key))


def address(url: str, key: str) -> tuple[str, str]:
    """The URL of the service that the options name, and the key to it."""
    home = Home.of_environment()
    if not url:
        running = home.running()
        url = running.url if running else _meant()
    return url, key or home.key() or ""


def _meant() -> str:
    """Where `flowray up` would answer."""
    from flowray_serve.settings import read_settings

    return read_settings().url
