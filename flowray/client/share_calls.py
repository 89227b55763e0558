"""What can be asked of quotas and usage, as plain requests; for `Client.ask`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowray.client.calls import Call

Record = Mapping[str, Any]


def quota(tenant: str = "") -> Call[Record]:
    """What is settled for a tenant's share, and what of it is taken."""
    params = {"tenant": tenant} if tenant else {}
    return Call(method="GET", path="/api/v1/quota", params=params, read=lambda response: response.json())


def usage(params: Mapping[str, str]) -> Call[Sequence[Record]]:
    """What was used."""
    return Call(method="GET", path="/api/v1/usage", params=params, read=lambda response: response.json()["usage"])


def usage_csv(params: Mapping[str, str]) -> Call[str]:
    """What was used, as CSV."""
    asked = {**params, "format": "csv"}
    return Call(method="GET", path="/api/v1/usage", params=asked, read=lambda response: response.text)
