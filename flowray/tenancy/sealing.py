"""Secrets at rest: each is encrypted with a data key of its own, and that key with one of the operator's master keys.

A copy of the store without a master key says nothing. Changing the master key wraps the data keys anew and leaves the
secrets as they are. What is sealed for one place does not open in another: the place is authenticated beside it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flowray.errors import FlowRayError, InvalidRequestError, SettingsError

_KEY_BYTES, _NONCE_BYTES = 32, 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Sealed = Mapping[str, str]


class SealError(FlowRayError):
    """A secret cannot be opened: its master key is missing, or somebody has changed it."""

    code = "sealed"
    status = 500


@dataclass(frozen=True, repr=False)
class MasterKeys:
    """The operator's keys by id; the first one seals, all of them open."""

    keys: Mapping[str, bytes]

    @classmethod
    def of(cls, text: str) -> MasterKeys:
        """The ring that `ID:BASE64` says, one or several, apart by commas or line ends, the newest first."""
        entries = [entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip()]
        keys = dict(_master_key(entry) for entry in entries)
        if not keys or len(keys) != len(entries):
            raise SettingsError("A ring of master keys needs at least one key, and each id once.")
        return cls(keys)

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.keys))


class Sealer:
    """Seals secrets for a place and opens them there."""

    def __init__(self, ring: MasterKeys) -> None:
        self._ring = ring

    def seal(self, secret: str, *, place: str) -> Sealed:
        """The secret, encrypted, with what opens it."""
        data_key = AESGCM.generate_key(_KEY_BYTES * 8)
        text = _encrypted(data_key, secret.encode("utf-8", "surrogatepass"), place)
        return {"text": text, **self._wrapped(data_key, place)}

    def open(self, sealed: Sealed, *, place: str) -> str:
        """The secret again; `SealError` when it cannot be."""
        return _decrypted(self._data_key(sealed, place), sealed["text"], place).decode("utf-8", "surrogatepass")

    def is_current(self, sealed: Sealed) -> bool:
        """Whether the newest master key opens it."""
        return sealed["master"] == self._ring.newest

    def rewrapped(self, sealed: Sealed, *, place: str) -> Sealed:
        """The same, for the newest master key to open."""
        return {"text": sealed["text"], **self._wrapped(self._data_key(sealed, place), place)}

    def mark(self, *, place: str) -> Mapping[str, str]:
        """A mark that only who has a master key can make; `place` says what it is for."""
        newest = self._ring.newest
        return {"master": newest, "mark": _mark(self._ring.keys[newest], place)}

    def made(self, mark: Mapping[str, str], *, place: str) -> bool:
        """Whether a mark was made here for this."""
        key = self._ring.keys.get(mark.get("master", ""))
        return key is not None and hmac.compare_digest(_mark(key, place), mark.get("mark", ""))

    def _wrapped(self, data_key: bytes, place: str) -> Sealed:
        newest = self._ring.newest
        return {"master": newest, "key": _encrypted(self._ring.keys[newest], data_key, f"{newest}/{place}")}

    def _data_key(self, sealed: Sealed, place: str) -> bytes:
        master = self._ring.keys.get(sealed["master"])
        if master is None:
            raise SealError(
                f"The master key `{sealed['master'][:64]}` is not in the ring; add it to open what it sealed."
            )
        return _decrypted(master, sealed["key"], f"{sealed['master']}/{place}")


def new_master_key(name: str) -> str:
    """A master key as a ring takes it."""
    if _ID.fullmatch(name) is None:
        raise InvalidRequestError("A master key's id has 1 to 64 letters, digits, `.`, `_` or `-`, such as 2026-12.")
    return f"{name}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"


def _master_key(entry: str) -> tuple[str, bytes]:
    name, _, encoded = entry.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if _ID.fullmatch(name) is None or len(key) != _KEY_BYTES:
        raise SettingsError(
            f"A master key is written ID:BASE64, with {_KEY_BYTES} bytes in base64; `{name[:20]}` is not."
        )
    return name, key


def _mark(key: bytes, place: str) -> str:
    return hmac.new(hmac.digest(key, b"flowray marks", "sha256"), place.encode(), "sha256").hexdigest()


def _encrypted(key: bytes, plain: bytes, place: str) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, place.encode())).decode()


def _decrypted(key: bytes, text: str, place: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError) as cause:
        raise SealError("A sealed secret does not open: it was changed, or sealed for another place.") from cause
