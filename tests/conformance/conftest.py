"""Langflow and FlowRay, side by side, for one session."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from flowray_serve.cluster.ports import free_port
from tests.conformance.differences import Row, listed
from tests.conformance.sides import Side
from tests.kit.langflow import PASSWORD, USER, Langflow, running_langflow
from tests.kit.llm import Llm
from tests.kit.service import Service


@pytest.fixture(scope="session")
def langflow(llm: Llm) -> Iterator[Langflow]:
    with running_langflow(port=free_port(), variables=llm.variables) as langflow:
        yield langflow


@pytest.fixture(scope="session")
def theirs(langflow: Langflow) -> Iterator[Side]:
    with httpx.Client(base_url=langflow.url, headers={"x-api-key": langflow.key}, timeout=120) as http:
        yield Side(http, names={USER: "<user>", "Langflow": "<package>"}, signs_in=(USER, PASSWORD))


@pytest.fixture(scope="session")
def ours(service: Service, llm: Llm) -> Iterator[Side]:
    headers = {f"x-langflow-global-var-{name}": value for name, value in llm.variables.items()}
    with service.client(timeout_s=120, **headers) as http:
        yield Side(http, names={"default": "<user>", "FlowRay": "<package>"}, signs_in=("default", service.key))


@pytest.fixture(scope="session")
def table() -> list[Row]:
    """The documented differences; which of them were seen is noted in them."""
    return listed()
