"""One service, one model and one web for all tests of a session that ask for them."""

from tests.kit.fixtures import door, llm, reference, service, web

__all__ = ["door", "llm", "reference", "service", "web"]
