"""Tokens of a real issuer: who gets in, and above all who does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from flowray.tenancy.claims import ClaimRules
from flowray_serve.auth.issuer_keys import Freshness, IssuerKeys, fetched
from flowray_serve.auth.issuers import Issuer as KnownIssuer
from flowray_serve.auth.issuers import Issuers
from flowray_serve.auth.tokens import Tokens
from tests.kit.clock import Clock
from tests.kit.issuer import AUDIENCE, Issuer, running_issuer
from tests.unit.serve.service import Service, service

NOW = 1_800_000_000
RULES = ClaimRules(operator="platform-operators")
FLOWS, RUNS, TENANTS = "/api/v1/flows/", "/api/v1/runs", "/api/v1/admin/tenants"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        issuer.clock = lambda: NOW
        yield issuer


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
def made(issuer: Issuer, clock: Clock) -> Service:
    keys = IssuerKeys(issuer.url, fetch=fetched, freshness=Freshness(), clock=clock)
    tokens = Tokens(keys, issuer=issuer.url, audience=AUDIENCE, leeway_s=30, clock=lambda: NOW)
    return service(issuers=Issuers([KnownIssuer(tokens=tokens, rules=RULES)]))


def known(issuer: Issuer, rules: ClaimRules, audience: str = AUDIENCE) -> KnownIssuer:
    keys = IssuerKeys(issuer.url, fetch=fetched)
    return KnownIssuer(tokens=Tokens(keys, issuer=issuer.url, audience=audience, clock=lambda: NOW), rules=rules)


@pytest.fixture
def partner() -> Iterator[Issuer]:
    """A second issuer, with claims of its own, that speaks for the tenant `other` only."""
    with running_issuer() as issuer:
        issuer.clock = lambda: NOW
        issuer.claims = {"org": "other", "groups": ["viewer"]}
        yield issuer


@pytest.fixture
def two(issuer: Issuer, partner: Issuer) -> Service:
    rules = ClaimRules(tenant="org", roles="groups", tenants=frozenset({"other"}), issuer="partner")
    return service(issuers=Issuers([known(issuer, RULES), known(partner, rules, "flowray-partners")]))


async def ask(made: Service, token: str, path: str = FLOWS, method: str = "GET") -> httpx.Response:
    headers = {"x-api-key": "", "authorization": f"Bearer {token}"}
    return await made.http.request(method, path, headers=headers, content=b"{}")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_client_gets_a_token_from_its_issuer_and_comes_in_with_it(
    issuer: Issuer, made: Service, algorithm: Any
) -> None:
    issuer.rotate(algorithm)
    assert (await ask(made, issuer.token())).status_code == 200
    assert issuer.asked["keys"] == 1


async def test_claims_decide_the_role(issuer: Issuer, made: Service) -> None:
    viewer = issuer.sign(roles=["viewer"])
    assert (await ask(made, viewer)).status_code == 200
    refused = await ask(made, viewer, method="POST")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_tenants_settings_say_what_a_claims_value_means(issuer: Issuer, made: Service) -> None:
    token = issuer.sign(roles=["flow-team"])
    assert (await ask(made, token)).json()["code"] == "forbidden"
    await made.services.tenants.settle("default", {"roles": {"flow-team": "editor"}})
    assert (await ask(made, token)).status_code == 200


async def test_claims_decide_the_tenant(issuer: Issuer, made: Service) -> None:
    flow = await made.publish({"name": "x", "data": {"nodes": [], "edges": []}})
    assert (await ask(made, issuer.sign(), FLOWS + flow)).status_code == 200
    assert (await ask(made, issuer.sign(tenant="other"), FLOWS + flow)).status_code == 404


async def test_the_operators_value_makes_an_operator_and_the_word_operator_does_not(
    issuer: Issuer, made: Service
) -> None:
    assert (await ask(made, issuer.sign(roles=["platform-operators"]), TENANTS)).status_code == 200
    assert (await ask(made, issuer.sign(roles=["operator", "admin"]), TENANTS)).status_code == 403


async def test_keys_that_rotate_are_followed_without_a_pause(issuer: Issuer, made: Service, clock: Clock) -> None:
    old = issuer.sign()
    assert (await ask(made, old)).status_code == 200
    clock.now += 10
    issuer.rotate("ES256")

    assert (await ask(made, issuer.sign())).status_code == 200
    assert (await ask(made, old)).status_code == 200
    assert issuer.asked["keys"] == 2


async def test_a_key_that_was_withdrawn_opens_nothing_after_the_keys_were_asked_for_again(
    issuer: Issuer, made: Service, clock: Clock
) -> None:
    withdrawn, fresh = issuer.sign(jti="1"), issuer.sign(jti="2")
    assert (await ask(made, withdrawn)).status_code == 200
    issuer.rotate(keep_old=False)
    clock.now += 301
    assert (await ask(made, fresh)).status_code == 401


async def test_tokens_of_unknown_keys_do_not_make_us_a_nuisance_to_the_issuer(issuer: Issuer, made: Service) -> None:
    for number in range(5):  # more of them from one source are answered 429
        assert (await ask(made, issuer.sign(header={"kid": f"unknown-{number}"}))).status_code == 401
    assert issuer.asked["keys"] == 1


async def test_without_the_issuers_keys_nobody_comes_in(issuer: Issuer, made: Service, clock: Clock) -> None:
    issuer.is_down = True
    refused = await ask(made, issuer.sign())
    assert (refused.status_code, refused.json()["code"]) == (503, "issuer_unavailable")

    issuer.is_down = False
    clock.now += 6
    assert (await ask(made, issuer.sign())).status_code == 200


async def test_an_issuer_that_is_away_for_long_is_trusted_no_more(issuer: Issuer, made: Service, clock: Clock) -> None:
    assert (await ask(made, issuer.sign(jti="1"))).status_code == 200
    issuer.is_down = True
    clock.now += 600
    assert (await ask(made, issuer.sign(jti="2"))).status_code == 200
    clock.now += 400
    assert (await ask(made, issuer.sign(jti="3"))).status_code == 503


async def test_a_discovery_that_speaks_for_another_issuer_is_not_believed(issuer: Issuer, made: Service) -> None:
    issuer.named = "https://evil.example"
    assert (await ask(made, issuer.sign())).status_code == 503


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": None},
        {"exp": NOW - 40},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": NOW + 600},
        {"sub": None},
        {"sub": 1},
        {"tenant": "nobody"},
        {"tenant": None},
        {"tenant": ["default"]},
        {"tenant": "../default"},
    ],
    ids=str,
)
async def test_a_claim_that_does_not_hold_is_a_closed_door(
    issuer: Issuer, made: Service, claims: dict[str, Any]
) -> None:
    refused = await ask(made, issuer.sign(**claims))
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("claims", [{"exp": NOW - 10}, {"nbf": NOW + 10}, {"aud": ["x", AUDIENCE]}], ids=str)
async def test_clocks_may_differ_a_little_and_a_token_may_be_for_others_too(
    issuer: Issuer, made: Service, claims: dict[str, Any]
) -> None:
    assert (await ask(made, issuer.sign(**claims))).status_code == 200


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def test_a_signature_that_is_not_the_issuers_opens_nothing(issuer: Issuer, made: Service) -> None:
    good = issuer.sign()
    header, body, signature = good.split(".")
    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "x", "exp": NOW + 300, "tenant": "default", "roles": ["admin"]}
    public = (await fetched(f"{issuer.url}/keys")).decode()
    forged = [
        f"{header}.{part(claims)}.{signature}",
        f"{part({'alg': 'none'})}.{part(claims)}.",
        f"{part({'alg': 'RS256'})}.{body}.{signature[:-4]}AAAA",
        jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(public.encode())),
        f"{part({'alg': 'RS256', 'jwk': {'kty': 'oct', 'k': 'AAAA'}})}.{body}.{signature}",
        f"{header}.{body}.",
        "..",
        "a.b.c",
        "x" * 20_000 + ".b.c",
    ]
    assert (await ask(made, good)).status_code == 200
    for token in forged:
        refused = await ask(made, token)
        assert refused.status_code == 401, token[:60]
        assert refused.json()["code"] == "invalid_token"


async def test_a_suspended_tenants_token_opens_nothing(issuer: Issuer, made: Service) -> None:
    await made.services.tenants.settle("default", {"state": "suspended"})
    assert (await ask(made, issuer.sign())).json()["code"] == "tenant_suspended"


async def test_where_no_issuer_is_named_a_token_is_no_key(issuer: Issuer) -> None:
    assert (await ask(service(), issuer.sign())).status_code == 403


async def test_a_claim_may_lie_deep_or_have_dots_in_its_name(issuer: Issuer) -> None:
    rules = ClaimRules(tenant="https://flowray.example/tenant", roles="realm_access.roles")
    deep = service(issuers=Issuers([known(issuer, rules)]))
    issuer.claims = {"https://flowray.example/tenant": "default", "realm_access": {"roles": ["viewer"]}}
    assert (await ask(deep, issuer.sign(), RUNS)).status_code == 200


async def test_of_several_issuers_each_is_judged_by_its_own_keys_audience_and_claims(
    issuer: Issuer, partner: Issuer, two: Service
) -> None:
    assert (await ask(two, issuer.sign())).status_code == 200
    assert (await ask(two, partner.sign(aud="flowray-partners"))).status_code == 200
    assert (await ask(two, partner.sign(aud="flowray-partners"), method="POST")).status_code == 403  # a viewer there
    assert (issuer.asked["keys"], partner.asked["keys"]) == (1, 1)


@pytest.mark.parametrize(
    "claims",
    [{"aud": AUDIENCE}, {"org": "default"}, {"org": None, "tenant": "other"}, {"iss": "https://a-third.example"}],
    ids=str,
)
async def test_what_holds_for_one_issuer_does_not_hold_for_another(
    partner: Issuer, two: Service, claims: dict[str, Any]
) -> None:
    refused = await ask(two, partner.sign(**{"aud": "flowray-partners", **claims}))
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")


async def test_an_issuer_cannot_sign_in_the_name_of_another(issuer: Issuer, partner: Issuer, two: Service) -> None:
    forged = partner.sign(iss=issuer.url, tenant="default", roles=["admin"])
    assert (await ask(two, forged)).json()["code"] == "invalid_token"
    await partner_is_away(partner, two)
    assert (await ask(two, issuer.sign())).status_code == 200


async def partner_is_away(partner: Issuer, two: Service) -> None:
    """One issuer's trouble is not another's."""
    partner.is_down = True
    refused = await ask(two, partner.sign(aud="flowray-partners"))
    assert (refused.status_code, refused.json()["code"]) == (503, "issuer_unavailable")
