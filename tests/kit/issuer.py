"""A small OpenID Connect issuer: discovery, a key set, a token endpoint for clients, and keys that rotate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.kit.server import serving

AUDIENCE = "flowray"
CLIENT, SECRET = "a-client", "its-secret"
Algorithm = Literal["RS256", "ES256"]


class Issuer:
    """Gives tokens to its one client, with the claims that `claims` says."""

    def __init__(self) -> None:
        self.url = ""
        self.clock: Callable[[], float] = time.time
        self.claims: Mapping[str, Any] = {"tenant": "default", "roles": ["editor"]}
        self.asked: Counter[str] = Counter()
        self.is_down = False
        self.named: str | None = None
        self._keys: list[RSAKey | ECKey] = []
        self.rotate()
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/keys", self._key_set),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    def rotate(self, algorithm: Algorithm = "RS256", *, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        name = f"key-{len(self._keys)}-{time.monotonic_ns()}"
        parameters: Any = {"kid": name, "alg": algorithm, "use": "sig"}
        if algorithm == "RS256":
            new: RSAKey | ECKey = RSAKey.generate_key(2048, parameters)
        else:
            new = ECKey.generate_key("P-256", parameters)
        self._keys = [new, *(self._keys if keep_old else [])]

    def sign(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token with these claims on top of the usual ones; None leaves one out."""
        key, now = self._keys[0], int(self.clock())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": CLIENT, "iat": now, "exp": now + 300, **self.claims}
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        return jwt.encode({"alg": algorithm, "kid": key.kid, **(header or {})}, said, key)

    def token(self) -> str:
        """A token as a client gets one: found by discovery, paid for with its secret."""
        told = httpx.get(f"{self.url}/.well-known/openid-configuration").json()
        answer = httpx.post(told["token_endpoint"], data={"grant_type": "client_credentials"}, auth=(CLIENT, SECRET))
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    async def _discovery(self, _: Request) -> JSONResponse:
        self.asked["discovery"] += 1
        if self.is_down:
            return JSONResponse({}, status_code=503)
        return JSONResponse(
            {
                "issuer": self.named or self.url,
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint": f"{self.url}/token",
                "grant_types_supported": ["client_credentials"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            }
        )

    async def _key_set(self, _: Request) -> JSONResponse:
        self.asked["keys"] += 1
        if self.is_down:
            return JSONResponse({}, status_code=503)
        return JSONResponse(KeySet(list(self._keys)).as_dict(private=False))

    async def _token(self, request: Request) -> JSONResponse:
        form = await request.form()
        expected = httpx.BasicAuth(CLIENT, SECRET)._auth_header
        if request.headers.get("authorization") != expected or form["grant_type"] != "client_credentials":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        return JSONResponse({"access_token": self.sign(), "token_type": "Bearer", "expires_in": 300})


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer that answers over HTTP."""
    issuer = Issuer()
    with serving(issuer.app, host="127.0.0.1") as url:
        issuer.url = url
        yield issuer
