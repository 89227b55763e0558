"""`flowray node`: what a machine needs to be a node of FlowRay's cluster."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.home import Home

app = typer.Typer(help="What a machine needs to be a node of FlowRay's cluster.", no_args_is_help=True)


@app.command("env")
def env(
    *,
    token: Annotated[
        Path | None,
        typer.Option(help="The file of the cluster's token, the same on all nodes; unset: this home's own."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the environment to start Ray in: `eval "$(flowray node env)" && ray start --head`."""
    from flowray_serve.cluster.environment import node_environment
    from flowray_serve.cluster.haproxy import write_launcher
    from flowray_serve.cluster.ports import free_ports
    from flowray_serve.settings import read_settings

    home = Home.of_environment()
    home.require_usable()
    home.secret()
    launcher = home.run / "haproxy"
    write_launcher(launcher, origins=read_settings().gateway.cors_origins)
    variables = node_environment(
        token=(token or home.secret_file).absolute(), run=home.run, launcher=launcher, ports=free_ports()
    )
    if as_json:
        say_json(dict(variables))
        return
    for name, value in variables.items():
        say(f"export {name}={shlex.quote(value)}")
