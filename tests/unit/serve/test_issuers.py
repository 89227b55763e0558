"""Whose tokens are taken, by the settings."""

from __future__ import annotations

import base64
import json

import pytest

from flowray.errors import SettingsError
from flowray.tenancy.claims import ClaimRules, principal_of, tenant_in
from flowray.tenancy.tenant import Tenant
from flowray_serve.auth.tokens import InvalidTokenError
from flowray_serve.parts.issuers import issuers_of
from flowray_serve.settings import Settings
from flowray_serve.token_settings import IssuerSettings, TokenSettings

FIRST = TokenSettings(issuer="https://a.example", audience="flowray")


def issuer(url: str = "https://b.example") -> IssuerSettings:
    return IssuerSettings(issuer=url, audience="flowray", tenants=("acme",))


def token(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.sig"


def test_without_an_issuer_no_tokens_are_taken() -> None:
    assert issuers_of(Settings()) is None


def test_the_first_issuer_and_the_further_ones_are_known_by_their_urls() -> None:
    found = issuers_of(Settings(tokens=FIRST, issuers={"partner": issuer()}))

    assert found is not None
    assert found.of(token({"iss": "https://a.example"})).rules == ClaimRules()
    assert found.of(token({"iss": "https://b.example"})).rules.tenants == {"acme"}


@pytest.mark.parametrize("claims", [{"iss": "https://a.example/"}, {"iss": ["https://a.example"]}, {}, [], 1], ids=str)
def test_a_token_of_nobody_known_opens_nothing(claims: object) -> None:
    found = issuers_of(Settings(tokens=FIRST))

    assert found is not None
    with pytest.raises(InvalidTokenError):
        found.of(token(claims))


def test_an_issuer_that_is_named_twice_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="named 2 times"):
        issuers_of(Settings(tokens=FIRST, issuers={"again": issuer("https://a.example")}))


def test_in_production_each_issuer_is_behind_https() -> None:
    with pytest.raises(SettingsError, match=r"http://b\.example"):
        issuers_of(Settings(mode="production", issuers={"b": issuer("http://b.example")}))


def test_an_issuer_of_some_tenants_makes_no_operators() -> None:
    with pytest.raises(ValueError, match="cannot make operators"):
        IssuerSettings(issuer="https://b.example", audience="flowray", tenants=("acme",), operator_role="ops")


def test_an_issuer_speaks_for_its_own_tenants_only_and_its_subjects_are_its_own() -> None:
    rules = ClaimRules(tenants=frozenset({"acme"}), issuer="partner")

    assert tenant_in({"tenant": "acme"}, rules) == "acme"
    assert tenant_in({"tenant": "default"}, rules) is None
    caller = principal_of({"sub": "7", "roles": ["viewer"]}, Tenant(id="acme"), rules)
    assert caller.key_id == "sub@partner:7"
