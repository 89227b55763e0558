"""Fixtures: a running FlowRay, the model and the web that its flows reach, and lfx as the measure."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Any

import httpx
import pytest

import flowray
from tests.kit.door import Door
from tests.kit.llm import Llm, running_llm
from tests.kit.reference import Reference, running_reference
from tests.kit.service import Service, running_service
from tests.kit.web import Web, running_web


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    with running_web() as web:
        yield web


@pytest.fixture(scope="session")
def llm(web: Web) -> Iterator[Llm]:
    with running_llm(arguments=web.arguments) as llm:
        yield llm


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    with running_reference() as reference:
        yield reference


@pytest.fixture(scope="session")
def service(llm: Llm, web: Web) -> Iterator[Service]:
    with running_service(llm.host, web.host) as service:
        yield service


@pytest.fixture(scope="session")
def door(service: Service) -> Iterator[Door]:
    with httpx.Client(base_url=service.url, headers={"x-api-key": service.key}, timeout=120) as http:
        yield Door(http)


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    """The example flow that needs nothing from outside."""
    text = (resources.files("flowray_serve") / "examples" / "report.flow").read_text()
    return dict(flowray.expand({"report": text})["report"])
