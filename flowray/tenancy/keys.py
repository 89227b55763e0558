"""API keys: 256 random bits that only their bearer has. FlowRay keeps the SHA-256, and cannot say a key again."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "fr-"
_SHOWN_CHARS = 8


def mint() -> str:
    """A new key."""
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


def digest_of(key: str) -> str:
    """What is kept of a key. It needs no salt and no slow hash: nobody guesses 256 bits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def shown(key: str) -> str:
    """As much of a key as may be shown, to tell it from others."""
    return key[:_SHOWN_CHARS]
