"""The ids under which Langflow's clients, and components, know a tenant."""

from __future__ import annotations

import uuid
from functools import lru_cache


@lru_cache(maxsize=4_096)
def tenant_uuid(tenant: str, role: str) -> str:
    """A tenant's user, and its first project: they are there as long as the tenant is."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:{role}:{tenant}"))
