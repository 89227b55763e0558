"""Who does something: a tenant, and what they may do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["admin", "editor", "runner"]
"""admin: keys and settings too. editor: flows too. runner: runs only."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whoever bears a key. `key` is the key's own name, for logs and lists."""

    tenant: str
    roles: frozenset[Role]
    key: str = ""
