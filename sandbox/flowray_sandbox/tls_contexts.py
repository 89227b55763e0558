"""TLS contexts that the zygote made ready, with all the authorities that they trust.

Parsing those takes 20 ms, and a chat model's client makes six contexts: two kinds of client, and for each a way past
the gate and two through it. Each is handed out once, since whoever asked may change it, and no process gets another's.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_READY = 8
_ssl: Any = ssl
_original = ssl.create_default_context
_ready: list[ssl.SSLContext] = []
_bundle: list[str] = []


def prepare(bundle: str) -> None:
    """Make contexts that trust what is in this file, and hand them out from now on."""
    if not Path(bundle).is_file():
        return  # as without TLS: a host without authorities
    _bundle[:] = [bundle]
    _ready.extend(_original(cafile=bundle) for _ in range(_READY - len(_ready)))
    _ssl.create_default_context = _context


@contextmanager
def restored() -> Iterator[None]:
    """Take back whatever is handed out meanwhile."""
    ready = _ready.copy()
    yield
    _ready[:] = ready


def _context(
    purpose: Any = ssl.Purpose.SERVER_AUTH, *, cafile: Any = None, capath: Any = None, cadata: Any = None
) -> ssl.SSLContext:
    """See `ssl.create_default_context`: what is asked for is made anew unless it is just what lies ready."""
    usual = purpose == ssl.Purpose.SERVER_AUTH and capath is None and cadata is None and [cafile] == _bundle
    if usual and _ready and not os.environ.get("SSLKEYLOGFILE"):
        return _ready.pop()
    return _original(purpose, cafile=cafile, capath=capath, cadata=cadata)
