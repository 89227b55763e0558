"""Files that verbs write where they are told to: what cannot be written is the caller's to choose anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowray.errors import InvalidRequestError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors name the file or folder that cannot be written."""
    try:
        yield
    except OSError as cause:
        raise InvalidRequestError(f"Cannot write {cause.filename or path}: {cause.strerror}.") from cause
