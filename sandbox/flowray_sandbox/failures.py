"""How a job ends badly: the one error it answers with, and a traceback that shows the component's code and not ours."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import lfx
from lfx.exceptions.component import ComponentBuildError
from lfx.field_typing.constants import DEFAULT_IMPORT_STRING

import flowray_sandbox
from flowray_sandbox import large, troubles
from flowray_sandbox.channel import RefusedError

_COMPONENT_FILE = "<string>"  # lfx compiles component code under this name
# A run's own; what is only loaded has no network whatever anybody allows.
_NO_WAY_OUT = " (This run can reach no host at all: its pool, tenant and flow together allow none, see `egress`.)"
# Components raise anything; a cancellation is nothing that they raised.
RAISED = (Exception, SystemExit, KeyboardInterrupt)
_LINES_BEFORE = DEFAULT_IMPORT_STRING.count("\n") + 1  # and puts these lines in front of it


class JobFailedError(Exception):
    """The job cannot be done. `kind` says whose doing it was, in the engine's words."""

    def __init__(
        self,
        error: str,
        *,
        kind: str = "component",
        error_type: str = "",
        node: str | None = None,
        trace: str = "",
        cause: str = "",
    ) -> None:
        super().__init__(error)
        self.kind = kind
        self.error = error
        self.error_type = error_type
        self.node = node
        self.trace = trace
        self.cause = cause

    def answer(self) -> dict[str, Any]:
        """The ERROR frame's content."""
        return {
            "kind": self.kind,
            "error": _utf8(self.error),
            "error_type": self.error_type,
            "node": self.node,
            "traceback": _utf8(self.trace),
            "cause": self.cause,
        }


def component_failed(cause: BaseException, *, node: str | None = None, code: str = "") -> JobFailedError:
    """What a component raised, said in its own words."""
    error = own_error(cause)
    if isinstance(error, JobFailedError):
        return error
    _let_go(error)
    kind = "memory" if isinstance(error, MemoryError) else "component"
    text = _said(error) or ("out of memory" if kind == "memory" else _unsaid(error))
    if node is not None and troubles.has_no_way_out(cause):
        text += _NO_WAY_OUT
    return JobFailedError(
        large.told(text),
        kind=kind,
        error_type=type(error).__name__,
        node=node,
        trace=large.told(trimmed(error, code)),
        cause=troubles.trouble_of(cause),
    )


def _let_go(error: BaseException) -> None:
    """Free what filled the memory, which the error's frames hold: telling of it takes some, and orjson dies without."""
    told: BaseException | None = error
    seen: set[int] = set()
    while told is not None and id(told) not in seen:
        seen.add(id(told))
        if isinstance(told, MemoryError):
            traceback.clear_frames(told.__traceback__)
        told = told.__cause__ or told.__context__


def _said(error: BaseException) -> str:
    """Its words; and the host's, when it refused something and the component, as Run Flow does, hides with what."""
    text, hidden = _words(error), error.__context__
    if isinstance(hidden, RefusedError) and str(hidden) not in text:
        return f"{text}: {hidden}"
    return text


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a component's own exception says what it is in its own code
        return f"{type(error).__name__}, which cannot say what it is: its `__str__` fails."


def _unsaid(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, asyncio.CancelledError):
        return f"The component raised {name}, though nobody had stopped it."
    return name if isinstance(error, Exception) else f"The component raised {name}, which ends a program."


def own_error(cause: BaseException) -> BaseException:
    """The error beneath lfx's wrappers."""
    if isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
        return own_error(cause.exceptions[0])
    wrapped = isinstance(cause, ComponentBuildError) or _words(cause).startswith(
        ("Error creating class.", "Syntax error")
    )
    if wrapped and cause.__cause__ is not None:
        return own_error(cause.__cause__)
    return cause


def trimmed(error: BaseException, code: str = "") -> str:
    """The traceback without frames of lfx, of asyncio and of this package; `code` gives the component's lines."""
    told = traceback.TracebackException.from_exception(error)
    _trim(told, code.splitlines(), set())
    return "".join(told.format())


def _trim(told: traceback.TracebackException | None, lines: list[str], seen: set[int]) -> None:
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    told.stack = traceback.StackSummary.from_list(_shown(told.stack, lines))
    _trim(told.__cause__, lines, seen)
    _trim(told.__context__, lines, seen)
    for one in told.exceptions or ():  # of a group, as task groups raise it
        _trim(one, lines, seen)


def _shown(stack: Iterable[traceback.FrameSummary], lines: list[str]) -> list[traceback.FrameSummary]:
    return [_renamed(frame, lines) for frame in stack if not frame.filename.startswith(_HIDDEN)]


def _renamed(frame: traceback.FrameSummary, lines: list[str]) -> traceback.FrameSummary:
    if frame.filename != _COMPONENT_FILE or not lines or frame.lineno is None:
        return frame
    number = frame.lineno - _LINES_BEFORE
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    return traceback.FrameSummary("<component>", number, frame.name, line=line)


def _folder(module: ModuleType) -> str:
    return str(Path(next(iter(module.__path__))))


_HIDDEN = (
    _folder(lfx),
    _folder(flowray_sandbox),
    _folder(asyncio),
    _folder(concurrent.futures),
    str(Path(sys.modules["threading"].__file__ or "threading")),
    "<frozen ",
)


def _utf8(text: str) -> str:
    return text.encode(errors="replace").decode()
