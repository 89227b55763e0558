"""How often a replica looks for cycles of garbage.

A run makes thousands of short-lived objects, and hardly any cycle. Python looks through the young ones after each 700
that were made and kept so far; for a gateway that was up to a tenth of its processor time.
"""

from __future__ import annotations

import gc

_YOUNG, _MIDDLING, _OLD = 20_000, 10, 50


def collect_seldom() -> None:
    """Look for cycles less often; what is in none goes at once, as ever. To be called in a replica's constructor."""
    gc.set_threshold(_YOUNG, _MIDDLING, _OLD)
