"""What a stream of server-sent events says, when each has one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_DATA = "data:"


def frames(lines: Iterable[str]) -> Iterator[Any]:
    """The events of a stream, in order, as they come."""
    return (json.loads(line.removeprefix(_DATA)) for line in lines if line.startswith(_DATA))
