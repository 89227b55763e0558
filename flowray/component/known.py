"""The components that this installation knows by itself: those that lfx ships."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from flowray.component.index import find_index, load_index
from flowray.component.spec import ComponentSpec
from flowray.errors import NotFoundError


@cache
def known_components() -> Mapping[str, ComponentSpec]:
    """Return lfx's components by the digest of their source, read once; none when lfx is not installed."""
    try:
        return load_index(find_index())
    except NotFoundError:
        return {}
