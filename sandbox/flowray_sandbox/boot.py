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
from collections.abc import Collection, Mapping
from typing import Any

from flowray_sandbox import copies, descriptors, immortal, jail, libraries, memory, room, seccomp, syscalls
from flowray_sandbox.environment import CERTIFICATES
from flowray_sandbox.forker import Desk, Forker

_THREAD_STACK = 2 << 20
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "SSL_CERT_FILE": CERTIFICATES}  # noqa: S108 - private there


def main(order: str) -> None:
    """Become the zygote and its forker. Never returns into the interpreter's shutdown."""
    wanted = json.loads(order)
    descriptors.take_over(wanted["control"])
    control = socket.socket(fileno=descriptors.CONTROL)
    try:
        _split(control, wanted["lowered"])
        forker = _prepare(wanted)
        control.send(b"R" + json.dumps({"modules": len(sys.modules)}).encode())
        forker.run()
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the host must hear of it
        traceback.print_exc()
        control.send(b"F" + f"{type(failure).__name__}: {failure}".encode()[:4000])
    finally:
        os._exit(0)


def _split(control: socket.socket, lowered: Collection[str]) -> None:
    """Leave the zygote in a process of its own, before there is much to share; go on as the forker."""
    orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with orders, theirs:
        is_zygote = syscalls.fork() == 0
        os.dup2((theirs if is_zygote else orders).fileno(), descriptors.ORDERS)
    if not is_zygote:
        return
    try:
        zygote = importlib.import_module("flowray_sandbox.zygote").Zygote(control)
        _lock(lowered)
        zygote.run()
    except BaseException:  # noqa: BLE001 - the host sees the end of the channel, and finds this in the log
        traceback.print_exc()
    finally:
        os._exit(0)


def _prepare(wanted: Mapping[str, Any]) -> Forker:
    if os.getpid() == 1:
        # OpenSSL notices a fork by the pid; were parent and children all pid 1, all would draw the same keys.
        raise RuntimeError("the zygote is pid 1")
    heap = memory.Heap()
    ours = set(os.environ)
    _import(wanted)
    for name in ours:
        os.environ.pop(name, None)
    os.environ.update(_ENVIRONMENT)
    syscalls.assert_one_thread()
    threading.stack_size(_THREAD_STACK)
    forker = _laid_out(wanted, heap) if wanted["lasting"] else _as_it_is(wanted)
    gc.enable()
    return forker


def _as_it_is(wanted: Mapping[str, Any]) -> Forker:
    """Fork from memory as the imports left it: for a few children, who have less to gain than its order costs."""
    forker = _forker(wanted, Desk(), copies.Copies())
    _lock(wanted["lowered"])
    forker.measure()
    return forker


def _laid_out(wanted: Mapping[str, Any], heap: memory.Heap) -> Forker:
    """Put memory in order, so that each fork copies little."""
    libraries.make_anonymous()
    warm = [importlib.import_module(name) for name in wanted["warm"]]
    makes_room = bool(warm) and copies.are_made()
    heap.fill()
    gc.freeze()
    place = room.Room() if makes_room else None
    for module in warm:
        module.gather()
    desk = Desk()
    if place is not None:
        place.reserve()
    written = copies.Copies()
    forker = _forker(wanted, desk, written)
    # Last, so that what Python remembers of the look-ups of late is what children will look up.
    for module in warm:
        module.rehearse()
    gc.collect()
    immortal.keep_for_ever()
    # Before the heap is filled: what it frees would be where children write first.
    _lock(wanted["lowered"])
    if place is not None:
        heap.fill(place)
    heap.extend()
    forker.measure()
    if place is not None:
        # Before the heap is on huge pages: what happens here while there is a second process breaks them up.
        for module in warm:
            written.learn([*libraries.variables_of_python(), heap.rest(place.start)], module.rehearse_usual)
    heap.freeze()
    return forker


def _lock(lowered: Collection[str]) -> None:
    """Take from the zygote itself, and so from all children, what none of them needs."""
    jail.inherit_limits()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0, 0, 0, 0)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "seccomp" not in lowered:
        seccomp.install(seccomp.inherited())


def _import(wanted: Mapping[str, Any]) -> None:
    """Import what runs will need. The collector would only scan, again and again."""
    gc.disable()
    # A hook would run at each file, socket and import of every child; libraries install some against forks, of all
    # things.
    sys.addaudithook = lambda hook: None  # noqa: ARG005
    for name in wanted["warm"]:
        importlib.import_module(name).warm()
    # After lfx, whose environment is set by then: what runs import lazily may be a part of it.
    for name in wanted["preload"]:
        _preload(name)


def _preload(name: str) -> None:
    """Import what the operator's settings name; what cannot be preloaded stops the start by its name."""
    try:
        importlib.import_module(name)
        syscalls.assert_one_thread()
    except Exception as cause:
        raise RuntimeError(f"`{name}`, which the pool's `preload` names, cannot be preloaded: {cause}") from cause


def _forker(wanted: Mapping[str, Any], desk: Desk, written: copies.Copies) -> Forker:
    """Import last, and so close together in memory, what runs for each child."""
    serve = importlib.import_module(wanted["work"]).serve
    return Forker(serve, always=wanted["always"], lowered=wanted["lowered"], desk=desk, copies=written)
