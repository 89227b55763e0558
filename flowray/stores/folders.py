"""Files of an object store that is a folder, exchanged and deleted one at a time: it knows no conditions by itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.store import LocalStore


def exchange_file(folder: LocalStore, key: str, old: bytes, new: bytes) -> bool:
    """Write `new` if `old` is there; whether it was."""
    with _held(folder, key) as file:
        if file is None or file.read() != old:
            return False
        obstore.put(folder, key, new)
    return True


def delete_file(folder: LocalStore, key: str) -> None:
    """Remove; it may be gone already."""
    with _held(folder, key) as file:
        if file is not None:
            obstore.delete(folder, key)


@contextmanager
def _held(folder: LocalStore, key: str) -> Iterator[BinaryIO | None]:
    """The file, which no other process exchanges or deletes meanwhile; None when there is none."""
    path = Path(folder.prefix or "/", key)
    while (file := _opened(path)) is not None:
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still_at(path, file):
                yield file
                return
    yield None


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("r+b")  # NFS locks only what may be written
    except FileNotFoundError:
        return None


def _is_still_at(path: Path, file: BinaryIO) -> bool:
    """Whether nobody has put another file there while this one's lock was waited for."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
