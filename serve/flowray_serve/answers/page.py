"""One page of a list, in the shape of Langflow's page object."""

from __future__ import annotations

from typing_extensions import TypedDict


class Page(TypedDict):
    """Which page it is, of how many; what has pages adds its `items`."""

    total: int
    page: int
    size: int
    pages: int
