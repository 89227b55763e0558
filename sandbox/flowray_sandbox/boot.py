"""How a zygote starts: take over descriptors, import what runs need, prepare the walls, tell the host, and serve."""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowray_sandbox import descriptors, libraries, memory, syscalls

if TYPE_CHECKING:
    from flowray_sandbox.zygote import Zygote

_THREAD_STACK = 2 << 20
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "SSL_CERT_FILE": "/etc/ssl/cert.pem"}  # noqa: S108 - private there


def main(wanted: Mapping[str, Any]) -> None:
    """Be the zygote. Never returns into the interpreter's shutdown."""
    descriptors.take_over(wanted["control"])
    control = socket.socket(fileno=descriptors.CONTROL)
    try:
        zygote = _prepare(control, wanted)
        control.send(b"R" + json.dumps({"modules": len(sys.modules)}).encode())
        zygote.run()
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the host must hear of it
        traceback.print_exc()
        control.send(b"F" + f"{type(failure).__name__}: {failure}".encode()[:4000])
    finally:
        os._exit(0)


def _prepare(control: socket.socket, wanted: Mapping[str, Any]) -> Zygote:
    if os.getpid() == 1:
        # OpenSSL notices a fork by the pid; were parent and children all pid 1, all would draw the same keys.
        raise RuntimeError("the zygote is pid 1")
    heap = memory.Heap()
    heap.use_for_arenas()
    ours = set(os.environ)
    _import(wanted)
    for name in ours:
        os.environ.pop(name, None)
    os.environ.update(_ENVIRONMENT)
    syscalls.assert_one_thread()
    threading.stack_size(_THREAD_STACK)
    libraries.make_anonymous()
    heap.fill()
    zygote = _zygote(control, wanted)
    heap.freeze()
    zygote.lock()
    gc.enable()
    heap.refill()
    return zygote


def _import(wanted: Mapping[str, Any]) -> None:
    """Import what runs will need. The collector would only scan, again and again."""
    gc.disable()
    # A hook would run at each file, socket and import of every child; libraries install some against forks, of all
    # things.
    sys.addaudithook = lambda hook: None  # noqa: ARG005
    for name in wanted["preload"]:
        importlib.import_module(name)
    for name in wanted["warm"]:
        importlib.import_module(name).warm()


def _zygote(control: socket.socket, wanted: Mapping[str, Any]) -> Zygote:
    """Import last, and so close together in memory, what runs for each child."""
    zygote = importlib.import_module("flowray_sandbox.zygote")
    serve = importlib.import_module(wanted["work"]).serve
    made: Zygote = zygote.Zygote(control, serve, wanted["lowered"])
    return made
