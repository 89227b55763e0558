"""Every attack in a sandbox of its own, with egress and without, where no service can run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from flowray.sandbox.zygote import Zygote
from tests.attacks.attack import ATTACKS, Attack
from tests.attacks.cases import files, kernel, memory, network, processes
from tests.integration.sandbox.conftest import Inside, start

# Not those on the channel and on the gate, whose other end is missing here.
_CASES = {module.__name__ for module in (files, kernel, memory, network, processes)}
_ALONE = [attack for name, attack in ATTACKS.items() if attack.function.__module__ in _CASES and "gate" not in name]
_QUICK = [attack for attack in _ALONE if not attack.lasts]
_LIMITS = {"memory_mib": 256, "processes": 32}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def zygote() -> AsyncIterator[Zygote]:
    zygote = await start(preload=["numpy"])
    yield zygote
    await zygote.stop()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("egress", [[], ["example.org"]], ids=["off", "on"])
@pytest.mark.parametrize("attack", _QUICK, ids=lambda attack: attack.name)
async def test_an_attack_is_held_or_ends_its_own_sandbox(zygote: Zygote, attack: Attack, egress: list[str]) -> None:
    child = await zygote.spawn()
    child.used_network = True
    code = f"{attack.bare}\nresult = str({attack.function.__name__}())\n"
    await Inside(zygote).begin(child, code, egress=egress, limits=_LIMITS)

    said = b""
    while part := await asyncio.get_running_loop().sock_recv(child.sock, 1 << 16):
        said += part
    ended = await child.wait()
    child.close()

    assert b"ESCAPED" not in said
    assert b'"result": "held' in said or attack.ends, (said, ended)
