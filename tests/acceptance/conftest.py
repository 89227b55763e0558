"""One service, one model and one web for all of them."""

from tests.kit.fixtures import door, llm, reference, service, web

__all__ = ["door", "llm", "reference", "service", "web"]
