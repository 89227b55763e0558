"""What it costs to know who calls: the guard before every route, with a key or a token, known or not; no network.

Recipe:   .venv/bin/python benchmarks/who_calls.py

All kinds are asked in turn within each round, so that a busy machine slows all alike. `bare` is the same route without
a guard: take it off. Read the ratios. Results go to benchmarks/results/who_calls.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.types import ASGIApp, Message

from flowray.tenancy.act import Act
from flowray.tenancy.claims import ClaimRules
from flowray.tenancy.key_record import MemoryKeyRecords
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.news import MemoryNews
from flowray.tenancy.permissions import Permission
from flowray.tenancy.tenants import MemoryTenantRecords, Tenants
from flowray_serve.auth import Auditor, Authenticator, Gate
from flowray_serve.auth.guard import Guard
from flowray_serve.auth.issuer_keys import IssuerKeys
from flowray_serve.auth.issuers import Issuer, Issuers
from flowray_serve.auth.tokens import Tokens

RESULT = Path(__file__).parent / "results" / "who_calls.json"
ISSUER, AUDIENCE = "https://issuer.example", "flowray"


class Notes:
    """An audit log that costs as much as noting does."""

    def __init__(self) -> None:
        self.noted: list[Act] = []

    def require_room(self) -> None:
        """There is."""

    def note(self, act: Act) -> None:
        """Keep it."""
        self.noted.append(act)


async def answer(_: Any, __: Any, send: Callable[[Message], Awaitable[None]]) -> None:
    """The route itself: nothing."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(app: ASGIApp, headers: list[tuple[bytes, bytes]], method: str) -> float:
    """One request; how long it took, in microseconds."""
    scope = {
        "type": "http",
        "method": method,
        "path": "/api/v1/run/x",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"content-type", b"application/json"), (b"user-agent", b"wrk"), *headers],
        "client": ("127.0.0.1", 1),
        "path_params": {"flow": "x"},
    }

    async def send(_: Message) -> None: ...

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    began = time.perf_counter()
    await app(scope, receive, send)
    return (time.perf_counter() - began) * 1e6


async def measure(rounds: int, each: int) -> dict[str, dict[str, float]]:
    """Microseconds by kind of caller."""
    news = MemoryNews()
    tenants = Tenants(MemoryTenantRecords(), news)
    await tenants.create("acme")
    keyring = Keyring(MemoryKeyRecords(), news)
    key = (await keyring.issue("acme")).key
    signers = {
        "RS256": RSAKey.generate_key(2048, {"kid": "r"}),
        "ES256": ECKey.generate_key("P-256", {"kid": "e"}),
    }
    public = json.dumps(KeySet(list(signers.values())).as_dict(private=False)).encode()

    async def fetch(_: str) -> bytes:
        return public

    tokens = Tokens(IssuerKeys(ISSUER, fetch=fetch, jwks_url="x"), issuer=ISSUER, audience=AUDIENCE)
    issuers = Issuers([Issuer(tokens=tokens, rules=ClaimRules())])
    gate = Gate(identifies=Authenticator(keyring, tenants, issuers=issuers), auditor=Auditor(Notes()))
    runs, changes = Guard(answer, Permission.RUNS_START, gate), Guard(answer, Permission.FLOWS_WRITE, gate)
    now = int(time.time())

    def token(algorithm: str, number: int) -> bytes:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": now + 3600, "tenant": "acme", "roles": ["editor"]}
        header = {"alg": algorithm, "kid": signers[algorithm].kid}
        return jwt.encode(header, {**claims, "jti": str(number)}, signers[algorithm]).encode()

    known = token("RS256", -1)
    took: dict[str, list[float]] = {}
    for turn in range(rounds):
        fresh = {name: [token(name, turn * each + number) for number in range(each // 10)] for name in signers}
        kinds: dict[str, tuple[ASGIApp, list[bytes], bytes]] = {
            "bare": (answer, [key.encode()] * each, b"x-api-key"),
            "key": (runs, [key.encode()] * each, b"x-api-key"),
            "key, on record": (changes, [key.encode()] * each, b"x-api-key"),
            "token known": (runs, [b"Bearer " + known] * each, b"authorization"),
            **{
                f"token new, {name}": (runs, [b"Bearer " + one for one in fresh[name]], b"authorization")
                for name in fresh
            },
        }
        for kind, (app, sent, header) in kinds.items():
            took.setdefault(kind, []).extend([await ask(app, [(header, value)], "POST") for value in sent])
    return {kind: summary(values) for kind, values in took.items()}


def summary(values: list[float]) -> dict[str, float]:
    """Percentiles."""
    cuts = statistics.quantiles(values, n=100)
    return {"p50_us": round(cuts[49], 1), "p99_us": round(cuts[98], 1), "count": len(values)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=2_000)
    options = parser.parse_args()
    found = asyncio.run(measure(options.rounds, options.each))
    for kind, told in found.items():
        print(f"{kind:20} p50 {told['p50_us']:8.1f} us   p99 {told['p99_us']:8.1f} us")
    RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
