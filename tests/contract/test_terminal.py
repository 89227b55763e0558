"""What verbs print, to a terminal and to a pipe: processes, since only those have one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Sets the title, clears the screen, writes over the line; then what is as it should be.
TEXT = "\x1b]0;mine\x07\x1b[2Jgone\rover \x9b1m, one\r\ntwo\tthree ö"
SHOWN = r"\x1b]0;mine\x07\x1b[2Jgone\rover \x9b1m, one" + "\r\ntwo\tthree ö"


@pytest.mark.parametrize(("verb", "stream"), [("say", "stdout"), ("complain", "stderr")])
def test_a_terminal_is_shown_what_it_would_obey(verb: str, stream: str) -> None:
    ours, theirs = os.openpty()
    try:
        _run(verb, **{stream: theirs})
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    # The terminal itself ends lines with both characters.
    assert shown.replace("\r\r\n", "\r\n") == SHOWN + "\r\n"


@pytest.mark.parametrize(("verb", "stream"), [("say", "stdout"), ("complain", "stderr")])
def test_a_program_gets_what_there_is(verb: str, stream: str) -> None:
    told = _run(verb, **{stream: subprocess.PIPE})
    assert getattr(told, stream).decode() == TEXT + "\n"


def test_nothing_ends_for_a_line_of_progress_that_nobody_can_be_told() -> None:
    source = "from flowray_serve.cli.terminal import Progress; Progress()('Starting Ray'); print('goes on')"
    with open("/dev/full", "wb") as full:
        told = subprocess.run([sys.executable, "-c", source], check=False, stdout=subprocess.PIPE, stderr=full)
    assert told.stdout == b"goes on\n"


def _run(verb: str, *, stdout: int | None = None, stderr: int | None = None) -> subprocess.CompletedProcess[bytes]:
    source = f"from flowray_serve.cli.terminal import {verb}; {verb}({TEXT!r})"
    return subprocess.run([sys.executable, "-X", "utf8", "-c", source], check=True, stdout=stdout, stderr=stderr)
