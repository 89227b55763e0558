from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox.doors import doors_of
from flowray.sandbox.egress import Connection, Gate
from flowray.sandbox.policy import Policy
from flowray.sandbox.relay import Caps
from tests.integration.sandbox.conftest import Answer, Inside

ASK = """
import urllib.request
proxy = urllib.request.ProxyHandler({name: "http://127.0.0.1:3128" for name in ("http", "https")})
try:
    result = urllib.request.build_opener(proxy).open(spec["url"], timeout=5).read().decode()
except urllib.error.HTTPError as refused:
    result = f"{refused.code} {refused.read().decode()}"
except Exception as failure:
    result = repr(failure)
"""
TUNNEL = """
import socket
line = socket.create_connection(("127.0.0.1", 3128), timeout=5)
line.sendall(spec["connect"].encode())
answer = line.recv(1000).decode()
if " 200 " in answer and spec.get("send"):
    line.sendall(bytes.fromhex(spec["send"]))
    line.shutdown(socket.SHUT_WR)
    answer = b""
    while part := line.recv(1000): answer += part
    answer = answer.decode()
result = answer
"""


async def public(host: str, port: int) -> list[str]:
    """A resolver that knows the names of these tests only."""
    return {"public.test": ["127.0.0.1"], "inner.test": ["10.0.0.1"], "mixed.test": ["1.1.1.1", "10.0.0.1"]}[host]


@asynccontextmanager
async def server(**options: Any) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        text = b"you asked " + head.split(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(text), text))
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0, **options)
    async with running:
        yield running.sockets[0].getsockname()[1]


async def ask(
    inside: Inside, policy: Policy, code: str = ASK, caps: Caps | None = None, **spec: Any
) -> tuple[Answer, list[Connection]]:
    """Run code with this policy; what it said, and the connections it made."""
    told: list[Connection] = []
    child = await inside.zygote.spawn()
    found = doors_of(policy)
    listeners = await child.listen([(door.address, door.port) for door in found.doors])
    at_doors = list(zip(found.doors, listeners, strict=True))
    lease = Gate(resolve=public).attach(child.gate, policy, told.append, caps=caps, doors=at_doors)
    answer = await inside.use(child, code, egress=list(policy.hosts), doors=found.said, **spec)
    lease.close()
    await asyncio.sleep(0)
    return answer, told


async def test_without_egress_no_socket_can_be_made(inside: Inside) -> None:
    answer = await inside.run("import socket; socket.create_connection(('127.0.0.1', 3128))")

    assert answer.error_type == "PermissionError"


async def test_an_allowed_host_is_reached_through_the_gate(inside: Inside) -> None:
    async with server() as port:
        listed = f"127.0.0.1:{port}"

        answer, told = await ask(inside, Policy((listed,), (listed,)), url=f"http://{listed}/hello")

    assert answer.result == "you asked GET /hello HTTP/1.1"
    assert [(one.host, one.port, one.verdict) for one in told] == [("127.0.0.1", port, "allowed")]
    assert told[0].up_bytes == 0
    assert told[0].down_bytes > len(answer.result)


async def test_a_private_name_is_reached_when_the_operator_lists_it(inside: Inside) -> None:
    async with server() as port:
        listed = f"public.test:{port}"

        answer, _ = await ask(inside, Policy((listed,), (listed,)), url=f"http://{listed}/")

    assert answer.result == "you asked GET / HTTP/1.1"


@pytest.mark.parametrize(
    "url",
    [
        "http://other.test/",
        "https://other.test/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://2130706433/",
        "http://inner.test/",
        "http://mixed.test/",
        "http://inner.test:22/",
        "https://sub.inner.test/",
    ],
)
async def test_what_is_not_listed_or_not_public_is_refused(inside: Inside, url: str) -> None:
    policy = Policy(("inner.test", "mixed.test", "127.0.0.1", "169.254.169.254"))

    answer, told = await ask(inside, policy, url=url)

    assert "403" in answer.result
    assert [one.verdict for one in told] == ["refused"]


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 22), timeout=2)",
        "import socket; socket.create_connection(('1.1.1.1', 53), timeout=2)",
        "import socket; socket.create_connection(('::1', 3128), timeout=2)",
        "import socket; socket.socket(2, 2).sendto(b'x', ('1.1.1.1', 53))",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 8000)); s.listen()",
        "import socket; socket.getaddrinfo('other.org', 80)",
    ],
)
async def test_with_egress_the_gate_is_the_only_way(inside: Inside, code: str) -> None:
    answer, told = await ask(inside, Policy(("example.org",)), code)

    assert answer.error_type in {"PermissionError", "ConnectionRefusedError", "OSError", "gaierror"}
    assert told == []


@pytest.mark.parametrize(
    "text", ["GET / HTTP/1.1\r\n\r\n", "CONNECT u@public.test:443 HTTP/1.1\r\n\r\n", "\x16\x03\x01\r\n\r\n"]
)
async def test_what_is_no_proper_request_is_refused(inside: Inside, text: str) -> None:
    answer, told = await ask(inside, Policy(("public.test",)), TUNNEL, connect=text)

    assert answer.result.startswith("HTTP/1.1 400")
    assert [one.verdict for one in told] == ["refused"]


async def test_a_tunnel_passes_bytes_both_ways(inside: Inside) -> None:
    async with server() as port:
        listed = f"public.test:{port}"
        request = f"CONNECT {listed} HTTP/1.1\r\n\r\n"

        answer, told = await ask(
            inside, Policy((listed,), (listed,)), TUNNEL, connect=request, send=b"GET /x HTTP/1.1\r\n\r\n".hex()
        )

    assert answer.result.endswith("you asked GET /x HTTP/1.1")
    assert [one.verdict for one in told] == ["allowed"]


async def test_too_many_bytes_cut_a_connection(inside: Inside) -> None:
    async with server() as port:
        listed = f"public.test:{port}"

        _, told = await ask(inside, Policy((listed,), (listed,)), caps=Caps(down_bytes=10), url=f"http://{listed}/")

    assert [(one.verdict, one.reason) for one in told] == [("cut", "bytes")]


async def test_a_silent_connection_is_cut(inside: Inside) -> None:
    async with server() as port:
        listed = f"public.test:{port}"
        code = TUNNEL + "result = line.recv(10).decode()"
        request = f"CONNECT {listed} HTTP/1.1\r\n\r\n"

        answer, told = await ask(inside, Policy((listed,), (listed,)), code, caps=Caps(idle_s=0.1), connect=request)

    assert [(one.verdict, one.reason) for one in told] == [("cut", "idle")]
    assert answer.said


async def test_the_end_of_a_run_cuts_its_connections(inside: Inside) -> None:
    async with server() as port:
        listed = f"public.test:{port}"
        told: list[Connection] = []
        child = await inside.zygote.spawn()
        lease = Gate(resolve=public).attach(child.gate, Policy((listed,), (listed,)), told.append)
        request = f"CONNECT {listed} HTTP/1.1\r\n\r\n"
        await inside.use(child, TUNNEL, connect=request, egress=[listed])

        lease.close()
        await asyncio.sleep(0.05)

    assert len(told) == 1


TLS = """
import socket, ssl
line = socket.create_connection(("127.0.0.1", 3128), timeout=5)
line.sendall(f"CONNECT {spec['host']} HTTP/1.1\\r\\n\\r\\n".encode())
assert b" 200 " in line.recv(1000)
context = ssl.create_default_context(cadata=spec["trusted"])
try:
    client = context.wrap_socket(line, server_hostname=spec["name"])
    client.sendall(b"GET /tls HTTP/1.1\\r\\n\\r\\n")
    result = client.recv(1000).decode()
except (ssl.SSLError, OSError) as failure:
    result = type(failure).__name__
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=public.test"
    names = ["-addext", "subjectAltName=DNS:public.test,DNS:other.test"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(("name", "verdict"), [("public.test", "allowed"), ("other.test", "cut")])
async def test_tls_must_ask_for_the_host_that_was_allowed(
    inside: Inside, certificate: Path, name: str, verdict: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusted = (certificate / "cert.pem").read_text()
    async with server(ssl=context) as port:
        listed = f"public.test:{port}"

        answer, told = await ask(inside, Policy((listed,), (listed,)), TLS, host=listed, name=name, trusted=trusted)

    assert [(one.verdict, one.server_name) for one in told] == [(verdict, name)]
    assert answer.result.startswith("HTTP/1.1 200") == (verdict == "allowed")


async def test_a_network_that_was_used_serves_no_other_child(inside: Inside) -> None:
    async with server() as port:
        listed = f"127.0.0.1:{port}"
        names = []
        for _ in range(2):
            child = await inside.zygote.spawn()
            lease = Gate().attach(child.gate, Policy((listed,), (listed,)), lambda _: None)
            network = Path(f"/proc/{child.pid}/ns/net").readlink()
            names.append(str(network))
            await inside.use(child, ASK, url=f"http://{listed}/", egress=[listed])
            lease.close()

    assert names[0] != names[1]


GREET = """
import socket
line = socket.create_connection((spec["host"], spec["port"]), timeout=5)
line.sendall(b"GET /door HTTP/1.1\\r\\n\\r\\n")
answer = b""
while part := line.recv(1000): answer += part
result = answer.decode()
"""


async def test_a_host_is_reached_by_its_name_and_port_without_a_proxy(inside: Inside) -> None:
    async with server() as port:
        listed = f"public.test:{port}"

        answer, told = await ask(inside, Policy((listed,), (listed,)), GREET, host="public.test", port=port)

    assert answer.result.endswith("you asked GET /door HTTP/1.1")
    assert [(one.host, one.port, one.verdict) for one in told] == [("public.test", port, "allowed")]
    assert told[0].up_bytes == len(b"GET /door HTTP/1.1\r\n\r\n")


async def test_a_door_to_a_name_with_a_private_address_is_shut(inside: Inside) -> None:
    code = GREET.replace("result = answer", "answer = answer or b'shut'; result = answer")

    answer, told = await ask(inside, Policy(("inner.test:6379",)), code, host="inner.test", port=6379)

    assert answer.said.get("result") == "shut" or answer.said["error_type"] == "ConnectionResetError"
    assert [(one.host, one.port, one.verdict) for one in told] == [("inner.test", 6379, "refused")]
    assert "not public" in told[0].reason


@pytest.mark.parametrize("port", [22, 443, 3129])
async def test_no_other_port_of_the_name_is_there(inside: Inside, port: int) -> None:
    answer, told = await ask(inside, Policy(("public.test:5432",)), GREET, host="public.test", port=port)

    assert answer.error_type in {"PermissionError", "ConnectionRefusedError"}
    assert told == []


async def test_a_name_that_is_not_listed_is_not_known(inside: Inside) -> None:
    answer, _ = await ask(inside, Policy(("public.test:5432",)), GREET, host="other.test", port=5432)

    assert answer.error_type == "gaierror"


async def test_names_that_code_makes_up_lead_nowhere_else(inside: Inside) -> None:
    code = "open('/dev/shm/hosts', 'a').write('127.0.1.1 evil.test\\n')\n" + GREET

    async with server() as port:
        listed = f"public.test:{port}"
        _, told = await ask(inside, Policy((listed,), (listed,)), code, host="evil.test", port=port)

    assert [one.host for one in told] == ["public.test"]


@pytest.mark.parametrize(("name", "verdict"), [("public.test", "allowed"), ("other.test", "cut")])
async def test_tls_at_a_door_must_ask_for_the_doors_host(
    inside: Inside, certificate: Path, name: str, verdict: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusted = (certificate / "cert.pem").read_text()
    code = TLS.replace('("127.0.0.1", 3128)', 'tuple(spec["at"])').replace("line.sendall", "#").replace("assert", "#")
    async with server(ssl=context) as port:
        listed = f"public.test:{port}"

        answer, told = await ask(
            inside, Policy((listed,), (listed,)), code, at=["public.test", port], name=name, trusted=trusted
        )

    assert [(one.verdict, one.server_name) for one in told] == [(verdict, name)]
    assert answer.result.startswith("HTTP/1.1 200") == (verdict == "allowed")


async def test_listeners_that_cannot_be_made_fail_and_leave_the_zygote_well(inside: Inside) -> None:
    child = await inside.zygote.spawn()

    with pytest.raises(SandboxUnavailableError):
        await child.listen([("127.0.0.1", 3128)])

    child.close()
    await child.wait()
    assert (await inside.run("result = 1")).result == 1
