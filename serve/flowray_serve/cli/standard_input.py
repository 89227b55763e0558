"""What comes on standard input: verbs read it where they take a file's path and are given `-`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowray.errors import FlowTooLargeError, InvalidRequestError

if TYPE_CHECKING:
    from flowray.flow.types import Flow

INPUT = Path("-")
NAME = "standard input"


def loaded(path: Path) -> Flow:
    """The flow in a file, or on standard input."""
    import flowray

    return flowray.load(read_export() if path == INPUT else path)


def read_export() -> bytes:
    """A flow's text; never more of it than a flow may have, so that input without an end is refused as well."""
    from flowray.flow.document import Bounds

    most = Bounds().size_bytes
    content = read_input(most_bytes=most + 1)
    if len(content) > most:
        raise FlowTooLargeError(f"The document has more than {most:,} bytes; at most {most:,} are allowed.")
    return content


def read_input(*, most_bytes: int = -1) -> bytes:
    """All of it, or as many bytes."""
    if sys.stdin is None:
        raise InvalidRequestError(f"Cannot read {NAME}: it is closed.")
    try:
        return sys.stdin.buffer.read(most_bytes)
    except OSError as cause:
        raise InvalidRequestError(f"Cannot read {NAME}: {cause.strerror}.") from cause
