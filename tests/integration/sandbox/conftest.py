from __future__ import annotations

import asyncio
import inspect
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from flowray.sandbox import start as start_of
from flowray.sandbox.child import Child, Exit
from flowray.sandbox.image import find_image
from flowray.sandbox.limits import Limits
from flowray.sandbox.zygote import Zygote


@dataclass(frozen=True)
class Answer:
    """What a canary said, and how it ended."""

    said: dict[str, Any]
    exit: Exit

    @property
    def result(self) -> Any:
        assert "result" in self.said, self.said
        return self.said["result"]

    @property
    def error_type(self) -> str:
        assert "error_type" in self.said, self.said
        return str(self.said["error_type"])


class Inside:
    """Runs code behind the walls."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote

    async def run(self, code: str, **spec: Any) -> Answer:
        return await self.use(await self.zygote.spawn(), code, **spec)

    async def use(self, child: Child, code: str, **spec: Any) -> Answer:
        await self.begin(child, code, **spec)
        return await self.end(child)

    async def begin(self, child: Child, code: str, **spec: Any) -> None:
        payload = json.dumps({"code": code, **spec}).encode()
        await asyncio.get_running_loop().sock_sendall(child.sock, struct.pack(">IB", len(payload), 1) + payload)

    async def end(self, child: Child) -> Answer:
        answer = bytearray()
        while part := await asyncio.get_running_loop().sock_recv(child.sock, 1 << 16):
            answer += part
        ended = await child.wait()
        child.close()
        return Answer(json.loads(answer[5:]) if answer else {}, ended)


async def start(*, limits: Limits | None = None, **options: Any) -> Zygote:
    kind = start_of.Inside(warm=(), work="flowray_sandbox.canary", **options)
    return await Zygote.start(find_image(), kind, limits=limits)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def inside() -> AsyncIterator[Inside]:
    zygote = await start(preload=["numpy", "ssl", "multiprocessing", "sqlite3"])
    yield Inside(zygote)
    await zygote.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One zygote serves all: they share its loop."""
    for item in items:
        ours = item.path.parent.name == "sandbox" and item.path.parent.parent.name == "integration"
        if ours and isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
