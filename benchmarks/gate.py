"""What the gate costs: a request on a kept TLS connection, and a new connection, from inside a sandbox and without one.

    python benchmarks/gate.py > benchmarks/results/gate.json

The same client code (httpx) asks the same local server three ways: from a plain process of the image's Python, from a
sandbox through the gate by CONNECT, and from a sandbox through a door, by name and port. Rounds take turns, so that
what else the machine does meets all three alike. Server, gate and client are processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowray.sandbox.child import Child
from flowray.sandbox.doors import doors_of
from flowray.sandbox.egress import Gate
from flowray.sandbox.image import Image, find_image
from flowray.sandbox.policy import Policy
from flowray.sandbox.start import Inside
from flowray.sandbox.zygote import Zygote

_ROUNDS, _REQUESTS, _CONNECTIONS = 12, 200, 10
_CLIENT = """
import httpx, ssl, time
trust = ssl.create_default_context(cadata=spec["certificate"])
options = {"verify": trust, "trust_env": False, "proxy": spec.get("proxy")}
kept, fresh = [], []
with httpx.Client(**options) as client:
    for number in range(spec["requests"] + 20):
        began = time.perf_counter()
        assert len(client.get(spec["url"]).content) == 1000
        if number >= 20:
            kept.append(1000 * (time.perf_counter() - began))
for _ in range(spec["connections"]):
    with httpx.Client(**options) as client:
        began = time.perf_counter()
        client.get(spec["url"]).content
        fresh.append(1000 * (time.perf_counter() - began))
result = {"kept": kept, "fresh": fresh}
"""
_PLAIN = f"import json, sys; spec = json.load(sys.stdin)\n{_CLIENT}\nprint(json.dumps(result))"
_SERVE = "--serve"


async def serve(folder: str) -> None:
    """Answer every request with 1000 bytes, and keep connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def plain(image: Image, spec: Mapping[str, Any]) -> Mapping[str, list[float]]:
    """Ask without a sandbox."""
    environment = {"PYTHONPATH": str(image.site_packages)}
    pipes: Mapping[str, int] = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(str(image.python), "-c", _PLAIN, env=environment, **pipes)
    said, _ = await process.communicate(json.dumps(spec).encode())
    answer: Mapping[str, list[float]] = json.loads(said)
    return answer


async def walled(zygote: Zygote, port: int, spec: Mapping[str, Any]) -> Mapping[str, list[float]]:
    """Ask from a sandbox."""
    listed = f"localhost:{port}"
    policy = Policy((listed,), (listed,))
    found = doors_of(policy)
    child = await zygote.spawn()
    listeners = await child.listen([(door.address, door.port) for door in found.doors])
    doors = list(zip(found.doors, listeners, strict=True))
    lease = Gate().attach(child.gate, policy, lambda _: None, doors=doors)
    answer = await _use(child, {"code": _CLIENT, "egress": [listed], "doors": found.said, **spec})
    await lease.end()
    return answer


async def _use(child: Child, spec: Mapping[str, Any]) -> Mapping[str, list[float]]:
    loop = asyncio.get_running_loop()
    payload = json.dumps(spec).encode()
    await loop.sock_sendall(child.sock, struct.pack(">IB", len(payload), 1) + payload)
    answer = bytearray()
    while part := await loop.sock_recv(child.sock, 65536):
        answer += part
    await child.wait()
    child.close()
    said: Mapping[str, list[float]] = json.loads(answer[5:])["result"]
    return said


def certificate(folder: str) -> str:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return Path(folder, "cert.pem").read_text()


def summed(found: Mapping[str, Sequence[Mapping[str, list[float]]]]) -> dict[str, Any]:
    """Medians of all requests, and the median over rounds of each round's ratio."""
    facts: dict[str, Any] = {"rounds": _ROUNDS, "requests_per_round": _REQUESTS, "cores": os.cpu_count()}
    for what in ("kept", "fresh"):
        direct = [statistics.median(one[what]) for one in found["direct"]]
        for way, rounds in found.items():
            medians = [statistics.median(one[what]) for one in rounds]
            facts[f"{way}_{what}_ms"] = round(statistics.median(medians), 3)
            ratios = [mine / theirs for mine, theirs in zip(medians, direct, strict=True)]
            facts[f"{way}_{what}_ratio"] = round(statistics.median(ratios), 3)
    return facts


async def main() -> None:
    image = find_image()
    with tempfile.TemporaryDirectory() as folder:
        trusted = certificate(folder)
        server = subprocess.Popen([sys.executable, __file__, _SERVE, folder], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        try:
            port = int(server.stdout.readline() if server.stdout else 0)
            spec = {"url": f"https://localhost:{port}/", "certificate": trusted}
            spec |= {"requests": _REQUESTS, "connections": _CONNECTIONS}
            zygote = await Zygote.start(image, Inside(preload=["httpx", "ssl"], warm=(), work="flowray_sandbox.canary"))
            found: dict[str, list[Mapping[str, list[float]]]] = {"direct": [], "connect": [], "door": []}
            for _ in range(_ROUNDS):
                found["direct"].append(await plain(image, spec))
                found["connect"].append(await walled(zygote, port, {**spec, "proxy": "http://127.0.0.1:3128"}))
                found["door"].append(await walled(zygote, port, spec))
            await zygote.stop()
        finally:
            server.kill()
            server.wait()
    print(json.dumps(summed(found), indent=2))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[2]) if sys.argv[1:2] == [_SERVE] else main())
