"""With a wall taken away, what it alone holds back gets through: a suite that cannot fail proves nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.attacks.attack import ATTACKS, Attack
from tests.attacks.cases import channel, files, kernel, memory, network, processes
from tests.integration.sandbox.conftest import Inside, start

_CASES = (channel, files, kernel, memory, network, processes)  # importing them registers their attacks
ALONE = [attack for attack in ATTACKS.values() if attack.needs]
LONGEST_S = 20
Houses = Mapping[tuple[str, ...], Inside]

THREADS = """
import threading
gate, started = threading.Event(), []
try:
    for _ in range(100):
        started.append(threading.Thread(target=gate.wait, daemon=True)); started[-1].start()
except RuntimeError: started.pop()
import time; time.sleep(0.5)
result = len(started)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def houses() -> AsyncIterator[Houses]:
    """One zygote with all walls, and one without each of them."""
    lacking = ((), ("seccomp",), ("landlock",), ("user_namespace",), ("seccomp", "user_namespace"))
    async with AsyncExitStack() as stack:
        zygotes = [await start(preload=["numpy"], lowered=lowered) for lowered in lacking]
        for zygote in zygotes:
            stack.push_async_callback(zygote.stop)
        yield {lowered: Inside(zygote) for lowered, zygote in zip(lacking, zygotes, strict=True)}


async def tried(inside: Inside, attack: Attack) -> bytes:
    """All that an attack says: without walls, several processes may speak."""
    child = await inside.zygote.spawn()
    child.used_network = True
    code = f"{attack.bare}\nresult = str({attack.function.__name__}())\n"
    await inside.begin(child, code, egress=["example.org"])
    said = b""
    try:
        async with asyncio.timeout(LONGEST_S):
            while part := await asyncio.get_running_loop().sock_recv(child.sock, 1 << 16):
                said += part
    finally:
        child.close()
        await child.wait()
    return said


async def threads(inside: Inside) -> list[int]:
    """How many threads each of three sandboxes can have at once."""
    answers = await asyncio.gather(*(inside.run(THREADS, limits={"processes": 20}) for _ in range(3)))
    return [answer.result for answer in answers]


@pytest.mark.parametrize("attack", ALONE, ids=lambda attack: f"{attack.needs}: {attack.name}")
async def test_an_attack_gets_through_without_the_one_wall_that_holds_it(houses: Houses, attack: Attack) -> None:
    walled, open_ = await tried(houses[()], attack), await tried(houses[(attack.needs,)], attack)

    assert (b"held" in walled, b"ESCAPED" in walled) == (True, False), walled
    assert b"ESCAPED" in open_, open_


async def test_each_of_two_walls_holds_back_new_namespaces(houses: Houses) -> None:
    attack = ATTACKS["no_new_namespaces"]

    said = {lowered: b"ESCAPED" in await tried(houses[lowered], attack) for lowered in houses}

    assert said == {lowered: lowered == ("seccomp", "user_namespace") for lowered in houses}


async def test_without_user_namespaces_the_threads_of_all_sandboxes_are_counted_together(houses: Houses) -> None:
    own, shared = await threads(houses[()]), await threads(houses[("user_namespace",)])

    assert own == [19, 19, 19]
    assert sum(shared) < 40


def test_enough_attacks_have_one_wall_only() -> None:
    assert sum(attack.needs == "seccomp" for attack in ALONE) >= 12
    assert any(attack.needs == "landlock" for attack in ALONE)
