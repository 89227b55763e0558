"""Small attacks that a jail must withstand before it may hold a stranger's code: tried at start-up, in a real one."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Collection, Mapping

from flowray.sandbox.zygote import Zygote

_SPEC, _ANSWER_S = 1, 10.0
_HEADER = struct.Struct(">IB")
_ONLINE = ("listening",)
_TRY = "try: {}\nexcept OSError: result = True\nelse: result = False"

# Each binds `result` to True when the attempt was refused.
CANARIES: Mapping[str, str] = {
    "host files": "import os; result = not any(map(os.path.exists, ['/etc/shadow', '/root', '/proc/1', '/sys']))",
    "read-only root": _TRY.format("open('/etc/canary', 'w')"),
    "environment": "import os; result = set(os.environ) <= {'HOME', 'LANG', 'SSL_CERT_FILE'}",
    "new processes": _TRY.format("import os; os.fork() or os._exit(0)"),
    "programs": _TRY.format("import os; os.execv('/python/bin/python3', ['python3', '-c', ''])"),
    "new namespaces": "import ctypes; result = ctypes.CDLL(None).unshare(0x10000000) < 0",
    "mounts": "import ctypes; result = ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None) < 0",
    "other processes": "import os; result = os.getpid() == 1",
    "sockets": _TRY.format("import socket; socket.socket()"),
    "local sockets": _TRY.format("import socket; socket.socket(socket.AF_UNIX)"),
    "host memory": "import ctypes; result = ctypes.CDLL(None).ptrace(16, 2, 0, 0) < 0",
    "powers": "import ctypes, struct; b = ctypes.create_string_buffer(24); "
    "ctypes.CDLL(None).capget(struct.pack('=Ii', 0x20080522, 0), b); result = not any(b.raw)",
    "listening": _TRY.format("import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()"),
    "memory limit": "try: x = bytearray(2 << 30)\nexcept MemoryError: result = True\nelse: result = False",
}


# What gets through when a wall is lowered: alone, or two together.
THROUGH: Mapping[frozenset[str], frozenset[str]] = {
    frozenset({"seccomp"}): frozenset({"new processes", "sockets", "local sockets"}),
    frozenset({"landlock"}): frozenset({"listening"}),
    frozenset({"landlock", "seccomp"}): frozenset({"programs"}),
}


async def fallen(zygote: Zygote, lowered: Collection[str] = ()) -> list[str]:
    """Send all canaries; the names of those that were not held back, but for those that a lowered wall lets through."""
    held = await asyncio.gather(*(_is_held(zygote, name) for name in CANARIES))
    expected = {name for walls, names in THROUGH.items() if walls <= set(lowered) for name in names}
    return [name for name, is_held in zip(CANARIES, held, strict=True) if not is_held and name not in expected]


async def _is_held(zygote: Zygote, name: str) -> bool:
    child = await zygote.spawn()
    spec: dict[str, object] = {"code": CANARIES[name]}
    if name in _ONLINE:
        # Without egress it would be refused any socket, which is another canary's matter.
        child.used_network = True
        spec["egress"] = ["canary.invalid"]
    payload = json.dumps(spec).encode()
    loop = asyncio.get_running_loop()
    answer = bytearray()
    try:
        async with asyncio.timeout(_ANSWER_S):
            await loop.sock_sendall(child.sock, _HEADER.pack(len(payload), _SPEC) + payload)
            while part := await loop.sock_recv(child.sock, 1 << 16):
                answer += part
            await child.wait()
    except TimeoutError:
        return False
    finally:
        child.close()
    return b'"result": true' in answer
