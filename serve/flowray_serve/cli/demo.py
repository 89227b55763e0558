"""`flowray demo`: start FlowRay here, publish the examples, run one over HTTP, show what happened, stop again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from flowray.client import Client
from flowray_serve.cli.connection import connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import Progress, say, table
from flowray_serve.home import Home

_MODEL_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL")


def command() -> None:
    """Show FlowRay at work on this machine, with the bundled example flows."""
    progress = Progress()
    with _service(progress) as client:
        names = _publish(client, progress)
        _run(client, names["report"], progress)
        if os.environ.get("OPENAI_API_KEY"):
            variables = {name: os.environ[name] for name in _MODEL_VARIABLES if os.environ.get(name)}
            _run(client, names["chat"], progress, input_value="What is Ray? One sentence.", variables=variables)
    _how_to_go_on()


@contextmanager
def _service(progress: Progress) -> Iterator[Client]:
    """The FlowRay of this home; one that was not running is started, and stopped at the end."""
    ours = Home.of_environment().running() is None
    try:
        if ours:
            progress("Starting FlowRay on this machine (Ray, Valkey, a runner with its sandboxes)")
            _flowray("up", "--detach", environment=_reaching_the_model(os.environ))
        with connect("", "") as client:
            yield client
    finally:
        if ours:
            progress("Stopping what was started")
            _flowray("down", environment=os.environ)


def _flowray(*arguments: str, environment: Mapping[str, str]) -> None:
    ended = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "flowray_serve", *arguments], check=False, stdout=sys.stderr, env=environment
    )
    if ended.returncode:
        raise SystemExit(FAILED)


def _reaching_the_model(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with a pool that may reach the chat example's model; pools of the operator's own are left alone.

    A model's address that is named in the environment may be a private one: whoever runs the demo has named it.
    """
    if not environment.get("OPENAI_API_KEY") or "FLOWRAY_POOLS" in environment:
        return dict(environment)
    named = environment.get("OPENAI_BASE_URL")
    hosts = [urlsplit(named).netloc.rpartition("@")[2] if named else "api.openai.com"]
    pool = {"egress": hosts, "private_hosts": hosts if named else []}
    return {**environment, "FLOWRAY_POOLS": json.dumps({"default": pool})}


def _publish(client: Client, progress: Progress) -> dict[str, str]:
    """Publish the bundled examples; their flow ids by name."""
    folder = resources.files("flowray_serve") / "examples"
    sources = {
        file.name.removesuffix(".flow"): file.read_text() for file in folder.iterdir() if file.name.endswith(".flow")
    }
    progress(f"Publishing the example flows: {', '.join(sorted(sources))}")
    return {name: client.publish(client.expand(text)).id for name, text in sources.items()}


def _run(client: Client, flow: str, progress: Progress, **options: Any) -> None:
    progress("Running one over HTTP")
    answer = client.run(flow, **options)
    say(f"\n{answer.text}\n")
    say(_timeline(client.run_status(answer.run)) + "\n")


def _timeline(status: Mapping[str, Any]) -> str:
    """A row a node: where it ran, how long its step waited for a sandbox, when it started, how long it took."""
    begun = status["accepted_at"]
    rows = [
        (
            node["node"],
            str(node.get("runner") or "-"),
            _ms(node.get("queued_s")),
            _ms(node["started_at"] - begun if "started_at" in node else None),
            _ms(node.get("took_s")),
        )
        for node in status["nodes"]
    ]
    return table(("node", "runner", "queued", "started", "took"), rows)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _how_to_go_on() -> None:
    say(
        "Go on:\n"
        "  .venv/bin/flowray up --detach              keep it running; prints the URL and an API key\n"
        "  .venv/bin/flowray publish my-flow.json     bring a Langflow export\n"
        "  .venv/bin/flowray plan my-flow.json        see its steps\n"
        "  README.md, docs/how-to.md                  variables, egress, files, pools"
    )
