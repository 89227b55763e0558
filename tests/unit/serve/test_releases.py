"""Which release of lfx `flowray migrate --to` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowray.errors import InvalidRequestError
from flowray_serve.cli.releases import release_of


def test_an_index_that_is_not_there_is_no_unknown_release(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"Cannot read .*index\.json: there is no such file"):
        release_of(str(tmp_path / "index.json"))
