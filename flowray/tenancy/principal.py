"""Who does something: a tenant, and what they may do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "runner", "editor", "admin", "operator", "observer"]
"""Each may do what those before it may: look; run; change flows; give keys and variables; see to all tenants.

But for the last, which stands apart: it may read the metrics of all tenants, and nothing else.
"""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whoever bears a key or a token.

    `key` is the key's own name, or the token's subject; `key_id` tells keys of one name apart.
    """

    tenant: str
    roles: frozenset[Role]
    key: str = ""
    key_id: str = ""
