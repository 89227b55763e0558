"""Fixtures: a running FlowRay, what its flows and its traces reach, and lfx as the measure.

Imports are made where they are used: every pytest process reads this file, and few of them start anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kit.door import Door
    from tests.kit.llm import Llm
    from tests.kit.otlp import Receiver
    from tests.kit.reference import Reference
    from tests.kit.service import Service
    from tests.kit.web import Web


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    from tests.kit.web import running_web

    with running_web() as web:
        yield web


@pytest.fixture(scope="session")
def llm(web: Web) -> Iterator[Llm]:
    from tests.kit.llm import running_llm

    with running_llm(arguments=web.arguments) as llm:
        yield llm


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    from tests.kit.reference import running_reference

    with running_reference() as reference:
        yield reference


@pytest.fixture(scope="session")
def traces() -> Iterator[Receiver]:
    from tests.kit.otlp import receiving

    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def service(llm: Llm, web: Web, traces: Receiver) -> Iterator[Service]:
    from tests.kit.service import running_service

    with running_service(llm.host, web.host, settings={"FLOWRAY_TRACES__URL": traces.url}) as service:
        yield service


@pytest.fixture(scope="session")
def door(service: Service) -> Iterator[Door]:

    from tests.kit.door import Door

    with service.client(timeout_s=120) as http:
        yield Door(http)


@pytest.fixture(scope="session")
def report(door: Door) -> dict[str, Any]:
    """The example flow that needs nothing from outside."""
    from tests.kit.examples import example

    return door.expand(example("report"))
