"""Both ends of a lane prove that they know the service's secret before either unpickles a byte of the other.

Runner: a nonce. Engine: a nonce of its own and its proof over both. Runner: its proof over both. A proof names the side
that gives it, so that neither can be answered with its own words.
"""

from __future__ import annotations

import hmac
import secrets

from flowray_serve.lanes.frames import LaneError

NONCE_BYTES = 32
HANDSHAKE_LIMIT_BYTES = 128


def nonce() -> bytes:
    """Return bytes that were never used before."""
    return secrets.token_bytes(NONCE_BYTES)


class Challenge:
    """The Runner's side."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.nonce = nonce()

    def answer(self, payload: bytes) -> bytes:
        """Check the engine's proof; return the Runner's own."""
        theirs, proof = payload[:NONCE_BYTES], payload[NONCE_BYTES:]
        _check(self._secret, b"engine", self.nonce + theirs, proof)
        return _proof(self._secret, b"runner", self.nonce + theirs)


class Claim:
    """The engine's side."""

    def __init__(self, secret: bytes, challenge: bytes) -> None:
        if len(challenge) != NONCE_BYTES:
            raise LaneError("This is not a Runner's lane.")
        ours = nonce()
        self._secret = secret
        self._nonces = challenge + ours
        self.payload = ours + _proof(secret, b"engine", self._nonces)

    def check(self, payload: bytes) -> None:
        """Check the Runner's proof."""
        _check(self._secret, b"runner", self._nonces, payload)


def _proof(secret: bytes, side: bytes, nonces: bytes) -> bytes:
    return hmac.digest(secret, b"flowray lane\0" + side + b"\0" + nonces, "sha256")


def _check(secret: bytes, side: bytes, nonces: bytes, proof: bytes) -> None:
    if not hmac.compare_digest(_proof(secret, side, nonces), proof):
        raise LaneError("The other end of the lane does not know this service's secret.")
