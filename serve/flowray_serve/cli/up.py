"""`flowray up`: start FlowRay on this machine, in the foreground or detached."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowray.errors import FlowRayError
from flowray_serve.cli.ending import FAILED, USAGE
from flowray_serve.cli.terminal import AsJson, Progress, mention, say, say_json
from flowray_serve.cli.writing import writing
from flowray_serve.home import Home

_POLL_S = 0.1


class NotReadyError(FlowRayError):
    """The service was started and does not answer in time."""

    code = "not_ready"
    status = 503


def command(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it answers; it goes on running.")] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, help="With --detach: seconds to wait for it to answer.")
    ] = 180,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """Start FlowRay: Ray, the gateway, the runners and what they need. Ctrl-C stops all of it."""
    from flowray_serve.settings import read_settings

    settings = read_settings()
    home = Home(settings.home.expanduser().absolute())
    if detach:
        _detached(home, wait_s, as_json=as_json)
        running = home.running()
        _tell(running.url if running else "", home.key() or "", as_json=as_json)
        return
    if not supervised:
        home.require_usable()
        home.require_free()
        with home.guarded():
            code = _guarded(home, as_json=as_json)
        raise typer.Exit(code)
    from flowray_serve.supervisor import supervise

    with home.with_room():
        supervise(
            settings,
            home,
            progress=Progress(),
            on_ready=lambda url, key: _tell(url, key, as_json=as_json),
        )


def _guarded(home: Home, *, as_json: bool) -> int:
    """Run the supervisor as a child, and start it again when Ray takes it down."""
    from flowray_serve.guard import Guard

    def is_ready(pid: int) -> bool:
        running = home.running()
        return running is not None and running.ready and running.pid == pid

    command = _again("--supervised", as_json=as_json)
    return Guard(command, is_ready=is_ready, say=mention).keep()


def _again(*words: str, as_json: bool) -> Sequence[str]:
    """The command of another `flowray up`."""
    return [sys.executable, "-P", "-m", "flowray_serve", "up", *words, *(["--json"] if as_json else [])]


def _tell(url: str, key: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"url": url, "key": key})
        return
    say(f"FlowRay answers at {url}")
    say(f"The key of the tenant `default`, for the header x-api-key: {key}")


def _detached(home: Home, wait_s: float, *, as_json: bool) -> None:
    """Start a supervisor of its own session, and pass on what it says until it is ready."""
    home.require_usable()
    home.require_free()
    log = home.logs / "up.log"
    with writing(log):
        output = log.open("wb")
    with output:
        supervisor = subprocess.Popen(  # noqa: S603 - ourselves
            _again(as_json=as_json),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the key, which is told here and belongs into no log
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(home, supervisor, log, wait_s)
    except BaseException:  # also Ctrl-C: nobody else would know of it
        supervisor.terminate()
        raise


def _await(home: Home, supervisor: subprocess.Popen[bytes], log: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    with log.open() as lines:
        while not _is_ready(home, supervisor):
            sys.stderr.write(lines.read())
            if supervisor.poll() is not None:
                sys.stderr.write(lines.read())
                home.require_usable()  # a disk that is full has kept what it had to say from the log
                if not lines.tell():
                    raise _silent(supervisor.returncode, log)
                raise typer.Exit(USAGE if supervisor.returncode == USAGE else FAILED)
            if time.monotonic() > deadline:
                raise NotReadyError(f"FlowRay is not ready within {wait_s:g} s and is stopped. Its log is {log}.")
            time.sleep(_POLL_S)


def _silent(code: int, log: Path) -> NotReadyError:
    free_kib = shutil.disk_usage(log.parent).free // 1024
    return NotReadyError(f"FlowRay ended with {code} and said nothing in {log}, whose disk has {free_kib} KiB free.")


def _is_ready(home: Home, supervisor: subprocess.Popen[bytes]) -> bool:
    running = home.running()
    return running is not None and running.ready and running.guard == supervisor.pid
