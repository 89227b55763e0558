from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from flowray.sandbox.image import find_image
from tests.integration.inside.flows import Builder
from tests.integration.inside.host import Inside, running_parent
from tests.kit.fixtures import llm, reference, web  # noqa: F401  # fixtures

with warnings.catch_warnings():
    # lfx itself warns when it is imported; the tests that hold ours against it import it in their own process.
    warnings.simplefilter("ignore")
    import lfx.graph.graph.base  # noqa: F401


@pytest.fixture(scope="session")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with running_parent(find_image(), tmp_path_factory.mktemp("inside")) as inside:
        yield inside


@pytest.fixture(scope="session")
def build(inside: Inside) -> Builder:
    return Builder(inside)
