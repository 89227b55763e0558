"""What a sandbox does once its walls stand: take one spec, do its job, answer once, end."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn

from flowray_sandbox import editing, expand, extract, run
from flowray_sandbox.channel import ERROR, RESULT, Channel, ChannelBrokenError
from flowray_sandbox.failures import JobFailedError, component_failed
from flowray_sandbox.loop import LateLoop

Job = Callable[[Mapping[str, Any], list[bytes], Channel], Coroutine[Any, Any, Mapping[str, Any]]]
OnSpec = Callable[[Mapping[str, Any]], None]

_IMPORTED_MOST = 1000

# Made in the zygote and used in its children, once in each.
_LOOP = LateLoop()
_JOBS: Mapping[str, Job] = {
    "run": run.run,
    "extract": extract.extract,
    "expand": expand.expand,
    "describe": editing.describe,
    "refresh": editing.refresh,
    "validate": editing.validate,
    "prompt": editing.prompt,
}


def serve(channel: int, on_spec: OnSpec = lambda _: None) -> NoReturn:
    """Do the one job that arrives on the channel (a socket's descriptor), and end the process.

    `on_spec` is called with the spec before anything of it is used.
    """
    line = Channel(socket.socket(fileno=channel))
    status = 1
    try:
        answer(line, _LOOP, on_spec)
        status = 0
    except (ChannelBrokenError, OSError):
        pass  # nobody is there to be told
    finally:
        # Threads of component code may still run: they end with the process.
        os._exit(status)


def answer(channel: Channel, loop: LateLoop, on_spec: OnSpec = lambda _: None) -> None:
    """Wait for a spec, do its job, and answer with a result or an error."""
    spec, blobs = channel.read_spec()
    on_spec(spec)
    preloaded = len(sys.modules)
    try:
        result = _do(loop, spec, blobs, channel)
    except JobFailedError as failure:
        channel.finish(ERROR, failure.answer())
    except asyncio.CancelledError:
        channel.finish(ERROR, JobFailedError("The run was cancelled.", kind="cancelled").answer())
    except BaseException as cause:  # noqa: BLE001 - whatever it is, the host must hear of it
        channel.finish(ERROR, component_failed(cause).answer())
    else:
        channel.finish(RESULT, {**result, **_imported(preloaded)} if spec.get("preload_report") else result)


def _imported(preloaded: int) -> Mapping[str, Any]:
    """Say which modules came to those that the zygote had: the youngest ones. Mostly there are none."""
    more = len(sys.modules) - preloaded
    if more <= 0:
        return {}
    youngest = itertools.islice(reversed(sys.modules.copy()), min(more, _IMPORTED_MOST))
    return {"imported": [name for name in youngest if type(name) is str]}


def _do(loop: LateLoop, spec: Mapping[str, Any], blobs: list[bytes], channel: Channel) -> Mapping[str, Any]:
    job = _JOBS.get(spec.get("job", ""))
    if job is None:
        raise JobFailedError(f"There is no job `{spec.get('job')}`.", kind="protocol")
    work = loop.create_task(job(spec, blobs, channel))
    channel.listen(loop, work.cancel)
    return loop.run_until_complete(work)
