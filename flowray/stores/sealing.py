"""Keeps bytes secret where they are stored: sealed under the service's secret, and bound to where they belong."""

from __future__ import annotations

import os
import zlib
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flowray.errors import FlowRayError

_MARK = b"fr1"
_NONCE_BYTES = 12
_LEVEL = 1


class SealBrokenError(FlowRayError):
    """What was sealed cannot be opened: another service's secret, another place, or changed bytes."""

    code = "seal_broken"


class Seal(Protocol):
    """Seals bytes and opens them again. `place` is where they are kept: what is moved elsewhere does not open."""

    def seal(self, content: bytes, *, place: str) -> bytes:
        """Bytes that say nothing to those who do not have the secret."""

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """The content; `SealBrokenError` when it is not what was sealed for this place."""


class SecretSeal:
    """AES-256-GCM under a key made from the service's secret, over compressed content."""

    def __init__(self, secret: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"flowray accepted runs").derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, *, place: str) -> bytes:
        """See `Seal`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _MARK + nonce + self._cipher.encrypt(nonce, zlib.compress(content, _LEVEL), place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """See `Seal`."""
        at = len(_MARK)
        nonce, body = sealed[at : at + _NONCE_BYTES], sealed[at + _NONCE_BYTES :]
        try:
            return zlib.decompress(self._cipher.decrypt(nonce, body, place.encode()))
        except (InvalidTag, ValueError, zlib.error) as cause:
            raise SealBrokenError(f"What is kept at `{place[:200]}` was not sealed by this service.") from cause
