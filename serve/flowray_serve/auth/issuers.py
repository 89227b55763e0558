"""The issuers whose tokens are taken: which of them a token names decides by whose keys and rules it is judged."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowray.tenancy.claims import ClaimRules
from flowray_serve.auth.tokens import InvalidTokenError, Tokens

_LIMIT_CHARS = 16 * 1024


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """One of them: what verifies its tokens, and what their claims mean."""

    tokens: Tokens
    rules: ClaimRules


class Issuers:
    """All of them, by the URL that tokens name them by."""

    def __init__(self, known: Sequence[Issuer]) -> None:
        self._by_url: Mapping[str, Issuer] = {one.tokens.issuer: one for one in known}

    def of(self, token: str) -> Issuer:
        """The issuer that a token says it is of; `InvalidTokenError` when it is none of those that are known.

        Nothing of the token is believed by that: the issuer's own keys, audience and rules have to bear it out.
        """
        found = self._by_url.get(_named(token))
        if found is None:
            raise InvalidTokenError("The token is of no issuer that this service knows.")
        return found


def _named(token: str) -> str:
    if len(token) > _LIMIT_CHARS:
        raise InvalidTokenError("The token is too long.")
    part = token.split(".")[1]
    try:
        claims: Any = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as cause:
        raise InvalidTokenError("The token is not valid here: it cannot be read.") from cause
    named = claims.get("iss") if isinstance(claims, Mapping) else None
    return named if isinstance(named, str) else ""
