"""The settings of whose bearer tokens are taken, and what their claims mean."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from flowray_serve.settings_group import SettingsGroup


class _ClaimSettings(SettingsGroup):
    jwks_url: str | None = Field(None, description="Where the issuer's keys are; unset: found by discovery.")
    leeway_s: int = Field(60, ge=0, le=600, description="Seconds that clocks may differ.")
    tenant_claim: str = Field("tenant", description="The claim that names the tenant; dots lead inward.")
    roles_claim: str = Field("roles", description="The claim that gives roles, a list or words.")
    operator_role: str | None = Field(None, description="The value of that claim that makes an operator; unset: none.")


class TokenSettings(_ClaimSettings):
    """Bearer tokens of an OpenID Connect issuer, beside API keys."""

    issuer: str | None = Field(None, description="The issuer's URL; unset: no tokens are taken.")
    audience: str | None = Field(None, description="What tokens must be meant for; needed with an issuer.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.issuer is not None and not self.audience:
            raise ValueError("an issuer needs an audience: a token that is meant for somebody else must not open this")
        return self


class IssuerSettings(_ClaimSettings):
    """One of several issuers."""

    issuer: str = Field(min_length=1, description="The issuer's URL.")
    audience: str = Field(min_length=1, description="What its tokens must be meant for.")
    tenants: tuple[str, ...] = Field((), description="The tenants that it speaks for, and no others; empty: all.")

    @model_validator(mode="after")
    def _no_operator_of_some(self) -> Self:
        if self.tenants and self.operator_role is not None:
            raise ValueError("an issuer that speaks for some `tenants` only cannot make operators, who see to all")
        return self
