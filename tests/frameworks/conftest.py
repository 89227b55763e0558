"""One service whose second and third pool have the images of other frameworks; building those takes minutes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowray.sandbox.image import build_image
from tests.kit.door import Door
from tests.kit.llm import Llm
from tests.kit.service import running_service

IMAGES = ("haystack", "llamaindex")


@pytest.fixture(scope="session")
def frameworks(llm: Llm) -> Iterator[Door]:
    for image in IMAGES:
        build_image(Path(image))
    ways_out = {"egress": [llm.host], "private_hosts": [llm.host]}
    pools = {"default": {"spares": 2}, **{name: {"spares": 2, "image": name, **ways_out} for name in IMAGES}}
    settings = {"FLOWRAY_POOLS": json.dumps(pools), "FLOWRAY_VARIABLES": json.dumps(llm.variables)}
    with (
        running_service(settings=settings) as service,
        service.client(timeout_s=120) as http,
    ):
        yield Door(http)
