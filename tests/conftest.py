"""One service, one model and one web for all tests of a session that ask for them."""

from hypothesis import settings

from tests.kit.fixtures import door, llm, reference, report, service, web

__all__ = ["door", "llm", "reference", "report", "service", "web"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")
