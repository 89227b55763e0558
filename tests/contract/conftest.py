"""Fixtures over real servers; a server starts when the first test asks for it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio

from flowray.stores.documents import Documents
from flowray.stores.generations import Generations, MemoryGenerations, RedisGenerations
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.redis import connect
from flowray.tenancy.news import MemoryNews, News
from flowray_serve.embedded import EmbeddedValkey
from flowray_serve.routes.application import build_app
from tests.contract.replicas import followed
from tests.contract.servers import KEY, SECRET, running_s3, running_valkey
from tests.kit.server import serving
from tests.unit.serve.service import Service


def pytest_configure(config: pytest.Config) -> None:
    """Requests made from the description; named here alone, since its import costs every other test run seconds."""
    config.pluginmanager.import_plugin("schemathesis.pytest.plugin")


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of an empty Valkey."""
    async with connect(valkey_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey as FlowRay brings it, of the test's own: it may be started again."""
    server = EmbeddedValkey(tmp_path / "valkey", tmp_path / "door")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_s3(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture(params=["memory", "folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty object store of each kind."""
    if request.param == "memory":
        return open_objects("memory:")
    if request.param == "folder":
        return open_objects(str(tmp_path / "objects"))
    endpoint: str = request.getfixturevalue("s3_endpoint")
    options = {"endpoint": endpoint, "access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"}
    return open_objects(f"s3://flowray/{uuid.uuid4().hex}", options=options)


@pytest.fixture(params=["memory", "redis"])
def generations(request: pytest.FixtureRequest) -> Generations:
    """What tells replicas of changes, of each kind."""
    if request.param == "memory":
        return MemoryGenerations()
    return RedisGenerations(request.getfixturevalue("valkey"))


@pytest.fixture
def documents(objects: ObjectStore, generations: Generations) -> Documents:
    """No flows yet."""
    return Documents(objects, generations)


@pytest.fixture(params=["memory", "redis"])
async def replicas(request: pytest.FixtureRequest, valkey: redis.asyncio.Redis) -> AsyncIterator[tuple[News, News]]:
    """The news as two replicas have them."""
    if request.param == "memory":
        news = MemoryNews()
        yield news, news
        return
    async with followed(valkey) as here, followed(valkey) as there:
        yield here, there


@pytest.fixture(scope="module")
def url(made: Service) -> Iterator[str]:
    """Where the service that a module has made is reached by real clients."""
    with serving(build_app(made.services)) as url:
        yield url
