"""A first root file system for a kernel: an archive (cpio, "newc") of folders, devices and files."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class _Entry(NamedTuple):
    name: str
    mode: int
    content: bytes = b""
    major: int = 0
    minor: int = 0


def packed(files: Mapping[str, bytes], folders: tuple[str, ...] = ()) -> bytes:
    """These files, all executable, and folders; and a console to print to."""
    entries = [_Entry(folder, stat.S_IFDIR | 0o755) for folder in ("dev", *folders)]
    entries.append(_Entry("dev/console", stat.S_IFCHR | 0o600, major=5, minor=1))
    entries += [_Entry(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    entries.append(_Entry("TRAILER!!!", 0))
    parts = (part for inode, entry in enumerate(entries) for part in _written(inode, entry))
    return gzip.compress(b"".join(parts), compresslevel=1)


def _written(inode: int, entry: _Entry) -> Iterator[bytes]:
    path = entry.name.encode() + b"\0"
    facts = (inode, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, entry.major, entry.minor, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % fact for fact in facts) + path
    for part in (head, entry.content):
        yield part + b"\0" * (-len(part) % 4)
