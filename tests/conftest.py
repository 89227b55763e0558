"""One service, one model and one web for all tests of a session that ask for them."""

import gc
from collections.abc import Generator

import pytest

from tests.kit.fixtures import door, llm, reference, report, service, traces, web

__all__ = ["door", "llm", "reference", "report", "service", "traces", "web"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay to the end: the garbage collector need not look through them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
