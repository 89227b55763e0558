"""The Python client of a FlowRay service."""

from flowray.client.answers import PublishedFlow
from flowray.client.blocking import Client
from flowray.client.errors import ServiceUnreachableError
from flowray.client.nonblocking import AsyncClient
from flowray.engine.outcome import Answer

__all__ = ["Answer", "AsyncClient", "Client", "PublishedFlow", "ServiceUnreachableError"]
