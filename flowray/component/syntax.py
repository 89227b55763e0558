"""Python source as a syntax tree, or what is wrong with it in a few words."""

from __future__ import annotations

import ast
import threading
import warnings

# Python's warning filters are one per process: two threads that set them aside at once would never get them back.
_WARNINGS = threading.Lock()


class BrokenSourceError(ValueError):
    """The source is no Python; the message says what of it."""


def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a source; nothing of it is run."""
    try:
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape in a component is its author's affair
            return ast.parse(source)
    except SyntaxError as cause:
        raise BrokenSourceError(f"{cause.msg} (line {cause.lineno}).") from cause
    except (RecursionError, MemoryError) as cause:
        raise BrokenSourceError("it is nested too deeply.") from cause
    except ValueError as cause:
        raise BrokenSourceError(f"{cause}.") from cause
