"""What lfx itself answers: the measure for every flow that FlowRay runs."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from flowray.sandbox.image import find_image
from tests.kit.server import HOST

WORKER = Path(__file__).with_name("lfx_worker.py")
_ANSWER_S = 300


class ReferenceError(RuntimeError):  # noqa: A001  # the built-in one is about weak references
    """lfx could not run the flow; the message is its own."""


@dataclass(frozen=True)
class Answer:
    """The texts of a flow's output nodes, and the nodes that ran."""

    texts: Mapping[str, str]
    built: frozenset[str] = field(default=frozenset())

    @property
    def text(self) -> str:
        """The one text of a flow with one output."""
        (only,) = self.texts.values()
        return only


class Reference:
    """One lfx process that runs flows one after another; importing lfx takes seconds, a flow a fraction."""

    def __init__(self, worker: subprocess.Popen[str], home: Path, log: IO[str]) -> None:
        self._worker = worker
        self._home = home
        self._log = log

    def run(
        self,
        flow: Mapping[str, Any],
        input_value: str | None = None,
        *,
        tweaks: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        remembers: bool = True,
    ) -> Answer:
        """Run `flow`, as Langflow's `/run` does. `files` are in its storage, under paths like `{flow id}/{name}`.

        Unless it `remembers`, agents hear nothing of what was said before, as where there is no table of messages.
        """
        for path, content in (files or {}).items():
            place = self._home / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        reply = self._ask(
            {
                "flow": flow,
                "input_value": input_value,
                "tweaks": tweaks or {},
                "variables": variables or {},
                "session_id": uuid.uuid4().hex,
                "remembers": remembers,
            }
        )
        if "error" in reply:
            raise ReferenceError(reply["error"])
        return Answer(texts=reply["texts"], built=frozenset(reply["built"]))

    def expand(self, spec: str) -> dict[str, Any]:
        """The flow that a compact spec describes."""
        reply = self._ask({"spec": spec})
        if "error" in reply:
            raise ReferenceError(f"{reply['error']}: {reply['details']}")
        flow: dict[str, Any] = reply["flow"]
        return flow

    def _ask(self, job: Mapping[str, Any]) -> Any:
        if self._worker.stdin is None or self._worker.stdout is None:
            raise ReferenceError("The lfx process has no pipes.")
        self._worker.stdin.write(json.dumps(job) + "\n")
        self._worker.stdin.flush()
        ready, _, _ = select.select([self._worker.stdout], [], [], _ANSWER_S)
        line = self._worker.stdout.readline() if ready else ""
        if not line:
            self._log.seek(0)
            raise ReferenceError(f"The lfx process gave no answer: {self._log.read()[-2000:]}")
        return json.loads(line)


@contextmanager
def running_reference() -> Iterator[Reference]:
    """An lfx process in the environment image; it may reach the test servers, as our egress rules let ours."""
    image = find_image()
    with tempfile.TemporaryDirectory() as home, Path(home, "log").open("w+") as log:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(image.site_packages),
            "HOME": home,
            "LANGFLOW_CONFIG_DIR": home,
            "LANGFLOW_SSRF_ALLOWED_HOSTS": HOST,
            "LANGFLOW_LOG_LEVEL": "error",
            "DO_NOT_TRACK": "true",
        }
        command = [str(image.python), str(WORKER)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        with subprocess.Popen(command, env=environment, cwd=home, **pipes) as worker:
            try:
                yield Reference(worker, Path(home), log)
            finally:
                worker.kill()
