"""The process behind `flowray up`: starts what a service needs on this machine, watches it, and stops all of it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flowray.errors import FlowRayError
from flowray.sandbox import cgroups
from flowray.sandbox.image import find_image
from flowray.sandbox.probe import require
from flowray_serve.cluster.environment import driver_environment, ray_environment
from flowray_serve.cluster.haproxy import write_launcher
from flowray_serve.cluster.head import HeadDaemons, HeadOptions, enter, join, serves, start_head, stop_head
from flowray_serve.cluster.leftovers import end_leftovers
from flowray_serve.cluster.ports import check_free, free_ports
from flowray_serve.embedded import EmbeddedValkey
from flowray_serve.home import Home, Running
from flowray_serve.settings import Settings
from flowray_serve.watching import Watched, watching

Progress = Callable[[str], None]
_ANSWER_LIMIT_S = 30.0
_PRINTED_TO = (1, 2)


class StartError(FlowRayError):
    """The service was deployed but does not answer."""

    code = "start_failed"
    status = 503


class _StopAskedError(KeyboardInterrupt):
    """A signal asked to stop while something was being started or waited for.

    Ray, which looks for signals while it waits, goes on waiting after all errors but a KeyboardInterrupt or SystemExit.
    """


def supervise(settings: Settings, home: Home, *, progress: Progress, on_ready: Callable[[str, str], None]) -> None:
    """Run a service until a signal asks to stop. `on_ready` gets its URL and its key once it answers."""
    with _stopping_on_signals(), home.held(), contextlib.suppress(KeyboardInterrupt), ExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1, "watch"))  # first: it is left when all else was stopped
        home.note_running(Running(url=settings.url, pid=os.getpid(), guard=os.getppid()))
        _clear_away(home, progress)  # first: what a killed predecessor left may hold the port
        if settings.ray.address is None:
            check_free(settings.host, settings.port)
        for image, lowered in {
            (find_image(pool.image, settings.images), pool.lowered_walls) for pool in settings.pools.values()
        }:
            asyncio.run(require(image, lowered))
        stack.callback(_clear_away, home, progress)
        enter(_environment(settings, home))
        from flowray_serve import app  # imports Ray

        valkey = _stores(settings, home, stack, progress)
        plant = app.plant_of(settings, home, valkey.url if valkey else None)
        key = app.first_key(plant, home)
        _start_ray(settings, home, stack, progress)
        watched = Watched(daemons=HeadDaemons(), valkey=valkey, ray_logs=home.run / "ray")
        with watching(watched, thread=thread, progress=progress) as wait:
            progress("Deploying the gateway and the runners; each warms up its sandboxes")
            app.deploy_plant(plant)
            _await_answer(settings.host, settings.port)
            home.note_running(Running(url=settings.url, pid=os.getpid(), ready=True, guard=os.getppid()))
            on_ready(settings.url, key)
            wait()


def _clear_away(home: Home, progress: Progress) -> None:
    """End what a killed predecessor left, or what did not end when it was asked to."""
    home.secret()
    ended = end_leftovers(home.run, token=home.secret_file)
    if ended:
        progress(f"Ended {ended} processes that were left over")
    cgroups.sweep()


def _stores(settings: Settings, home: Home, stack: ExitStack, progress: Progress) -> EmbeddedValkey | None:
    if settings.redis.url is not None:
        return None
    progress("Starting Valkey")
    valkey = EmbeddedValkey.of(home)
    stack.callback(valkey.stop)
    valkey.start()
    return valkey


def _environment(settings: Settings, home: Home) -> Mapping[str, str]:
    if settings.ray.address is not None:
        return driver_environment(settings.ray.token_file)
    launcher = home.run / "haproxy"
    write_launcher(launcher, origins=settings.gateway.cors_origins)
    return ray_environment(token=home.secret_file, run=home.run, launcher=launcher, ports=free_ports())


def _start_ray(settings: Settings, home: Home, stack: ExitStack, progress: Progress) -> None:
    if settings.ray.address is not None:
        progress(f"Joining the Ray cluster at {settings.ray.address}")
        from flowray_serve import app  # imports Ray

        stack.callback(_quietly, app.withdraw_plant)
        join(settings.ray.address)
        if not serves():
            check_free(settings.host, settings.port)
        signal.signal(signal.SIGTERM, _ask_to_stop)  # Ray has put its own there
        return
    progress("Starting Ray")
    stack.callback(_quietly, stop_head)
    start_head(HeadOptions(run=home.run))
    signal.signal(signal.SIGTERM, _ask_to_stop)  # Ray has put its own there


def _await_answer(host: str, port: int) -> None:
    """Wait until the proxy has taken over the gateway's address."""
    deadline = time.monotonic() + _ANSWER_LIMIT_S
    while time.monotonic() < deadline:
        if _answers(host, port):
            return
        time.sleep(0.05)
    raise StartError(f"Nothing answers at {host}:{port} although everything was started.")


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    before = {number: signal.signal(number, _ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask_to_stop(_number: int, _frame: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the stop is under way; a second signal must not break it
    raise _StopAskedError


def _quietly(stop: Callable[[], None]) -> None:
    """Stop without Ray's remarks, from threads of its own, on actors that die while they are being stopped."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in _PRINTED_TO}
    with Path(os.devnull).open("w") as nowhere:
        for number in _PRINTED_TO:
            os.dup2(nowhere.fileno(), number)
    try:
        # What does not stop in order is ended with the leftovers; the exit code says how the service was, not its end.
        with contextlib.suppress(Exception):
            stop()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
