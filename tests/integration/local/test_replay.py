"""HTTP answers, recorded in one real sandbox and played in another: the network is not asked again."""

from __future__ import annotations

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from flowray.engine.differences import differences
from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.loop import Engine
from flowray.engine.ports import RunRequest
from flowray.flow.langflow import read
from flowray.plan.planner import plan
from flowray.runner.asking import Desk
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.runner.tape_desk import TapeDesk
from flowray.sandbox.image import find_image
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.objects import open_objects
from flowray.stores.sealing import SecretSeal
from flowray.stores.tapes import Tapes
from tests.unit.build import field as drawn_field
from tests.unit.build import node, output

CODE = """
import httpx, requests
from lfx.custom import Component
from lfx.io import MessageTextInput, Output
from lfx.schema import Message


class Get(Component):
    inputs = [MessageTextInput(name="url", value="")]
    outputs = [Output(name="out", display_name="Out", method="build_out", types=["Message"])]

    async def build_out(self) -> Message:
        texts = [httpx.get(self.url + "/a").text, requests.get(self.url + "/b").text]
        async with httpx.AsyncClient() as client:
            texts += [(await client.get(self.url + "/c")).text, (await client.get(self.url + "/c")).text]
        return Message(text=" ".join(texts) + "ENDING")
"""


@dataclass
class Counting:
    """A server that says how often it was asked."""

    asked: list[str] = field(default_factory=list)
    port: int = 0


@pytest.fixture
def counting() -> Iterator[Counting]:
    counting = Counting()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counting.asked.append(self.path)
            body = str(len(counting.asked)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        counting.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield counting
        server.shutdown()


@asynccontextmanager
async def running_engine(counting: Counting) -> AsyncIterator[Engine]:
    objects = open_objects("memory:")
    tape = TapeDesk(Tapes(objects, SecretSeal(b"secret")))
    desk = Desk({"tape.find": tape.find}, {"tape": tape.note})
    rules = Rules(size=PoolSize(spares=1), private=(f"localhost:{counting.port}",), desk=desk)
    runner = Runner.on(find_image(), objects=objects, rules=rules)
    await runner.start()
    yield Engine(MemoryJournal(), runner, name="local")
    await runner.close()


def request(port: int, *, ending: str = "", **facts: Any) -> RunRequest:
    url = drawn_field("url", "Message", type="str", _input_type="MessageTextInput", value=f"http://localhost:{port}")
    out = output("out", "Message", display_name="Out", method="build_out", selected="Message", value="__UNDEFINED__")
    one = node("Get-1", "Get", fields=(url,), outputs=(out,), code=CODE.replace("ENDING", ending))
    flow = read({"name": "Get", "data": {"nodes": [one], "edges": []}})
    known: dict[str, Any] = {"tenant": "acme", "flow_id": "f1", "session": "s1", **facts}
    return RunRequest(run=RunId(str(uuid.uuid4())), flow=flow, plan=plan(flow), **known)


def succeeded(told: tuple[Recorded, ...]) -> bool:
    last = told[-1].event
    assert isinstance(last, RunFinished)
    assert last.status == "succeeded", last
    return True


async def test_a_replay_hears_what_the_run_heard_and_differs_only_where_its_flow_does(counting: Counting) -> None:
    port = counting.port
    async with running_engine(counting) as engine:
        recorded = request(port, record=True, egress=(f"localhost:{port}",))
        first = await engine.execute(recorded)
        assert succeeded(first)
        assert counting.asked == ["/a", "/b", "/c", "/c"]

        same = await engine.execute(request(port, tape=recorded.run))
        changed = await engine.execute(request(port, ending="!", tape=recorded.run))
        unknown = await engine.execute(replace(request(port + 1, tape=recorded.run)))

    assert succeeded(same)
    assert differences(first, same) == ()
    assert [one.node for one in differences(first, changed)] == ["Get-1"]
    assert len(counting.asked) == 4
    last = unknown[-1].event
    assert isinstance(last, RunFinished)
    assert "No recorded answer" in last.error
