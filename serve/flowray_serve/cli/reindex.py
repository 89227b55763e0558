"""`flowray reindex`: bring Redis up to the record, by hand."""

from __future__ import annotations

from flowray.client import job_calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json


def command(url: Url = "", key: Key = "", *, as_json: AsJson = False) -> None:
    """Fill Redis from the object store: accepted runs, callbacks, the list of runs. Needs the role operator."""
    with connect(url, key) as client:
        found = client.ask(job_calls.reindex())
    say_json(found) if as_json else say(", ".join(f"{count} {what}" for what, count in found.items()))
