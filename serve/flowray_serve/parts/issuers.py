"""Whose tokens are taken, by the settings. What does not fit together stops the start."""

from __future__ import annotations

from collections import Counter

from flowray.errors import SettingsError
from flowray.tenancy.claims import ClaimRules
from flowray_serve.auth.issuer_keys import IssuerKeys, fetched
from flowray_serve.auth.issuers import Issuer, Issuers
from flowray_serve.auth.tokens import Tokens
from flowray_serve.settings import Settings
from flowray_serve.token_settings import IssuerSettings, TokenSettings


def issuers_of(settings: Settings) -> Issuers | None:
    """The issuers of the settings; None when no tokens are taken. Each has keys, rules and a memory of its own."""
    known = {**_first(settings.tokens), **settings.issuers}
    if not known:
        return None
    url, times = Counter(one.issuer for one in known.values()).most_common(1)[0]
    if times > 1:
        raise SettingsError(f"The issuer {url} is named {times} times; by which rules would its tokens be judged?")
    return Issuers([_issuer(name, one, settings) for name, one in known.items()])


def _first(told: TokenSettings) -> dict[str, IssuerSettings]:
    if told.issuer is None:
        return {}
    return {"": IssuerSettings(**told.model_dump())}


def _issuer(name: str, told: IssuerSettings, settings: Settings) -> Issuer:
    for url in (told.issuer, told.jwks_url or told.issuer):
        if settings.mode == "production" and not url.startswith("https://"):
            raise SettingsError(f"In production tokens are trusted only of an issuer behind https, not of {url}.")
    keys = IssuerKeys(told.issuer, fetch=fetched, jwks_url=told.jwks_url)
    return Issuer(
        tokens=Tokens(keys, issuer=told.issuer, audience=told.audience, leeway_s=told.leeway_s),
        rules=ClaimRules(
            tenant=told.tenant_claim,
            roles=told.roles_claim,
            operator=told.operator_role,
            tenants=frozenset(told.tenants),
            issuer=name,
        ),
    )
