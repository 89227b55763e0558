"""What a component's source imports, read from its text."""

from __future__ import annotations

import pytest

from flowray.component.imports import Imports, imported_by

SOURCE = """
import os, numpy as np
from google.cloud import storage
from . import neighbour

try:
    import faster
except ImportError:
    faster = None

if TYPE_CHECKING:
    import only_for_checkers

class Mine(Component):
    import inside_class

    def build(self):
        import boto3
        from pandas.core import frame
        import os
"""


def test_what_runs_on_loading_is_needed_and_the_rest_comes_later() -> None:
    found = imported_by(SOURCE)

    assert found.needed == {"os", "numpy", "google.cloud", "inside_class"}
    assert found.later == {"faster", "only_for_checkers", "boto3", "pandas.core"}


@pytest.mark.parametrize("source", ["", "not python at all (", "x = '\\0'" + "\0", "(" * 5_000])
def test_what_is_no_python_imports_nothing(source: str) -> None:
    assert imported_by(source) == Imports()
