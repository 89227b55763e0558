"""Bearer tokens (JWT) of an OpenID Connect issuer: signature, issuer, audience and times, or no entry."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from flowray.errors import UnauthorizedError
from flowray_serve.auth.issuer_keys import IssuerKeys

ALGORITHMS = ("RS256", "ES256")
_LIMIT_CHARS = 16 * 1024
_DOTS = 2
_REMEMBERED_S = 30.0
_CAPACITY = 4_096

Claims = Mapping[str, Any]


class InvalidTokenError(UnauthorizedError):
    """A bearer token that opens nothing."""

    code = "invalid_token"
    status = 401


class Tokens:
    """Verifies tokens of `issuer`. One that was is known for some seconds, since a signature takes a while to check."""

    def __init__(
        self,
        keys: IssuerKeys,
        *,
        issuer: str,
        audience: str,
        leeway_s: int = 60,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer
        self._keys = keys
        self._clock = clock
        self._leeway_s = leeway_s
        self._rules = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=leeway_s,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._verified: OrderedDict[bytes, tuple[Claims, float]] = OrderedDict()

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether a bearer's text can be a token at all."""
        return text.count(".") == _DOTS

    async def claims(self, token: str) -> Claims:
        """What a token says; `InvalidTokenError` unless all of it holds."""
        if len(token) > _LIMIT_CHARS:
            raise InvalidTokenError("The token is too long.")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._verified.get(digest)
        if known is not None and known[1] > self._clock():
            return known[0]
        claims = await self._verify(token)
        good_until = min(self._clock() + _REMEMBERED_S, float(claims["exp"]) + self._leeway_s)
        self._verified[digest] = (claims, good_until)
        if len(self._verified) > _CAPACITY:
            self._verified.popitem(last=False)
        return claims

    async def _verify(self, token: str) -> Claims:
        try:
            try:
                claims = _signed(token, await self._keys.current())
            except InvalidKeyIdError:
                claims = _signed(token, await self._keys.renewed())
            self._rules.validate(claims)
        except ExpiredTokenError as cause:
            raise InvalidTokenError("The token has expired. Get a new one from its issuer.") from cause
        except (JoseError, ValueError, TypeError, LookupError) as cause:
            raise InvalidTokenError(f"The token is not valid here: {_why(cause)}.") from cause
        return claims


def _signed(token: str, keys: KeySet) -> dict[str, Any]:
    return jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims


def _why(cause: Exception) -> str:
    return str(cause)[:200].rstrip(". ") if isinstance(cause, JoseError) else "it cannot be read"
