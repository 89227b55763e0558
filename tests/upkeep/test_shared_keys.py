"""Redis keys of all tenants together: each is below a name that no tenant can have."""

from __future__ import annotations

import re
from pathlib import Path

from flowray.stores.redis_keys import SHARED

ROOT = Path(__file__).parents[2]
# As Python and the scripts write them: `{prefix}queue:bell`, `P..'queue:bell'`.
_BELOW_A_WORD = re.compile(r"(?:prefix\}|\bP\.\.')([a-z-]+):")


def test_each_name_below_which_a_store_keeps_things_of_all_is_reserved() -> None:
    sources = [file for folder in ("flowray", "serve", "registry") for file in (ROOT / folder).rglob("*.py")]

    found = {name for file in sources for name in _BELOW_A_WORD.findall(file.read_text())}

    assert found == SHARED
