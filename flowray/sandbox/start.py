"""How a zygote's process is started: bubblewrap around the image's Python, with an empty environment and one socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from flowray.sandbox import bubblewrap
from flowray.sandbox.image import Image

# Unprivileged users of their own for zygotes when the service runs as root: no files of the host belong to them.
_FIRST_UID, _UIDS = 60000, 5000
_BOOT = (
    "import sys; sys.path[:0] = ['/flowray', '/packages']; "
    "from flowray_sandbox import arenas; arenas.take_from_malloc(); "
    "from flowray_sandbox import boot; boot.main(sys.argv[1])"
)


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What a zygote is to be.

    `preload` names further modules to import, `warm` modules whose `warm()` is called, `work` the one that serves
    specs. One that is `lasting` puts its memory in order first: seconds, which many children make up for. `always` are
    the distributions that runs may import without declaring them, `lowered` names walls to leave out.
    """

    preload: Sequence[str] = ()
    warm: Sequence[str] = ("flowray_sandbox.preload",)
    work: str = "flowray_sandbox.work"
    lasting: bool = True
    always: Sequence[str] = ()
    lowered: Sequence[str] = ()


def launch(
    image: Image, inside: Inside, log: Path | None, opened: ExitStack
) -> tuple[subprocess.Popen[bytes], socket.socket, IO[bytes]]:
    """Start a zygote whose prints go to `log`: its process, our end of its control channel, and the log, open.

    `OSError` when something is missing for it. What stays open is closed with `opened`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        opened.enter_context(ours)
        ours.settimeout(0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        said: IO[bytes] = log.open("ab+") if log else tempfile.TemporaryFile()  # noqa: SIM115 - closed with `opened`
        opened.enter_context(said)
        return _start(image, inside, theirs, said), ours, said


def _start(image: Image, inside: Inside, control: socket.socket, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start bubblewrap, as nobody in particular when we are root."""
    wanted = {**asdict(inside), "control": control.fileno()}
    command = ["/python/bin/python3", "-I", "-S", "-B", "-c", _BOOT, json.dumps(wanted)]
    uid = _FIRST_UID + os.getpid() % _UIDS if os.geteuid() == 0 else None
    with closing(bubblewrap.invoke(image, command, uid=uid)) as invocation:
        return subprocess.Popen(  # noqa: S603 - our own program and arguments
            invocation.command,
            env={},
            pass_fds=(control.fileno(), *invocation.descriptors),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
