"""Where things lie in the object store: always below their tenant's folder, and never above it."""

from __future__ import annotations

import hashlib
import re

from flowray.errors import InvalidRequestError

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_SPELLED = re.compile(rb"\.([0-9a-f]{2})")
_PLAIN = re.compile(rb"[A-Za-z0-9_-]")
# File systems take 255 bytes; what is longer is told apart by its hash.
_LONGEST = 200


def path(tenant: str, *parts: str) -> str:
    """A key below the tenant's folder; each part is one segment, so it may hold nothing strange."""
    return "/".join(("tenants", *(_checked(part) for part in (tenant, *parts))))


def is_segment(name: str) -> bool:
    """Whether a name can be a part of a path as it is."""
    return _SEGMENT.fullmatch(name) is not None


def spelled(name: str) -> str:
    """Any text as one segment: what is not plain is written like `.2f`; a long one ends in its hash instead."""
    raw = name.encode("utf-8", "surrogatepass")
    text = "".join(chr(byte) if _PLAIN.match(bytes((byte,))) else f".{byte:02x}" for byte in raw)
    if len(text) > _LONGEST:
        return f"x{text[: _LONGEST - 66]}-{hashlib.sha256(raw).hexdigest()}"
    return f"n{text}"


def unspelled(segment: str) -> str | None:
    """The text that was spelled; None of one that was too long to be kept."""
    if not segment.startswith("n"):
        return None
    plain = _SPELLED.sub(lambda found: bytes((int(found[1], 16),)), segment[1:].encode())
    return plain.decode("utf-8", "surrogatepass")


def _checked(part: str) -> str:
    if not is_segment(part):
        raise InvalidRequestError(f"`{part[:80]!s}` cannot be an id: an id has letters, digits, `.`, `_` and `-` only.")
    return part
