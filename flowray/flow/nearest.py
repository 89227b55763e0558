"""The name somebody probably meant: for errors that say what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from flowray.flow.shape import clipped

_CANDIDATES = 500


def meant(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean `x`?", or nothing when no known name is close."""
    # Comparing is quadratic in length: a hostile flow must not make an error message expensive.
    candidates = [candidate[:200] for _, candidate in zip(range(_CANDIDATES), known, strict=False)]
    close = difflib.get_close_matches(name[:200], candidates, n=1)
    return f" Did you mean `{clipped(close[0])}`?" if close else ""
