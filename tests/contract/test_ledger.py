"""What a tenant holds never passes its quota, whoever asks, dies or comes back; wherever the ledger is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal

import pytest

from flowray.quotas.amounts import Amounts
from flowray.quotas.fair import FairRules
from flowray.quotas.ledger import Ledger, LedgerRules, NeverFitsError
from flowray.quotas.memory_ledger import MemoryLedgers
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.ticket import Grant, Ticket
from flowray.stores.redis_ledger import RedisLedger
from tests.kit.clock import Clock

RULES = LedgerRules()
ROOMY = Amounts(100, 0, 0, 0)


Hold = Callable[[str], Ledger]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture(params=["memory", "redis"])
def hand(request: pytest.FixtureRequest, clock: Clock) -> Hold:
    if request.param == "memory":
        return MemoryLedgers(clock=clock).holder
    valkey = request.getfixturevalue("valkey")
    return lambda name: RedisLedger(valkey, name, clock=clock)


@pytest.fixture
async def hold(hand: Hold) -> Hold:
    """A ledger whose pool has room; gives each holder their hand on it."""
    await hand("a").inaugurate()
    await hand("a").set_pools({"p": ROOMY})
    return hand


def ticket(name: str, *, tenant: str = "t", pool: str = "p", priority: int = 0, **need: int) -> Ticket:
    return Ticket(id=name, tenant=tenant, pool=pool, need=Amounts(**{"steps": 1, **need}), priority=priority)


def terms(*, version: int = 1, weight: float = 1.0, **quota: Any) -> Terms:
    return Terms(quota=Quota(**quota), weight=weight, version=version)


async def answer_to(ledger: Ledger, asked: Ticket, said: Terms) -> Grant | Literal["never"] | None:
    try:
        return await ledger.ask(asked, said)
    except NeverFitsError:
        return "never"


async def names_granted(ledger: Ledger) -> list[str]:
    return [grant.ticket for grant in await ledger.granted(wait_s=0)]


async def test_who_fits_is_granted_at_once_and_counted(hold: Hold) -> None:
    grant = await hold("a").ask(ticket("k1", cpu_m=500, memory_mib=64), terms())

    assert grant is not None
    assert (await hold("a").standing("t")).held == Amounts(1, 500, 64, 0)


async def test_who_passes_the_quota_waits_until_there_is_room_again_even_on_another_holder(hold: Hold) -> None:
    await hold("a").ask(ticket("k1", cpu_m=2000), terms(cpu=3.0))
    waits = await hold("b").ask(ticket("k2", cpu_m=2000), terms(cpu=3.0))
    assert (waits, (await hold("b").standing("t")).waiting) == (None, 1)

    await hold("a").end(["k1"])

    assert await names_granted(hold("b")) == ["k2"]
    assert (await hold("a").standing("t")).held.cpu_m == 2000


async def test_what_is_larger_than_the_whole_quota_is_refused(hold: Hold) -> None:
    with pytest.raises(NeverFitsError, match="tenant `t`"):
        await hold("a").ask(ticket("k1", memory_mib=100), terms(memory_mib=99))


async def test_what_was_given_back_twice_is_given_back_once(hold: Hold) -> None:
    await hold("a").ask(ticket("k1"), terms())

    await hold("a").end(["k1"])
    await hold("a").end(["k1", "never there"])

    assert (await hold("a").standing("t")).held == Amounts()


async def test_asking_again_for_the_same_step_holds_it_once(hold: Hold) -> None:
    await hold("a").ask(ticket("k1"), terms())
    await hold("a").end(["k1"])

    await hold("a").ask(ticket("k1"), terms())

    assert (await hold("a").standing("t")).held.steps == 1


async def test_a_pool_that_is_full_serves_tenants_in_turn(hold: Hold, clock: Clock) -> None:
    await hold("a").set_pools({"p": Amounts(1, 0, 0, 0)})
    await hold("a").ask(ticket("k1"), terms())
    for name in ("k2", "k3"):
        await hold("a").ask(ticket(name), terms())
    await hold("b").ask(ticket("late", tenant="u"), terms())

    clock.now += 0.5
    await hold("a").end(["k1"])

    assert await names_granted(hold("b")) == ["late"]


async def test_who_got_less_for_its_weight_comes_first_in_the_order_of_turns(hold: Hold) -> None:
    for tenant, weight in (("heavy", 10.0), ("light", 1.0)):
        await hold("a").ask(ticket(tenant, tenant=tenant), terms(weight=weight))

    assert list(await hold("a").turns(["light", "heavy"], ["p"])) == ["heavy", "light"]


async def test_the_order_of_turns_is_by_what_was_given_in_all_pools_together(hold: Hold) -> None:
    one = hold("a")
    await one.set_pools({"p": ROOMY, "q": ROOMY})
    for number, (tenant, pool) in enumerate([("in both", "p"), ("in both", "q"), ("in one", "q")]):
        await one.ask(ticket(f"k{number}", tenant=tenant, pool=pool), terms())

    order = await one.turns(["in both", "in one", "in none"], ["p", "q", "never used"])

    assert list(order) == ["in none", "in one", "in both"]


async def test_tenants_that_are_level_stay_in_the_order_in_which_they_were_named(hold: Hold) -> None:
    assert list(await hold("a").turns(["z", "a", "m"], ["p"])) == ["z", "a", "m"]


async def test_a_raised_quota_is_in_force_at_once_for_those_who_wait_on_any_holder(hold: Hold) -> None:
    await hold("a").ask(ticket("k1"), terms(steps=1))
    await hold("b").ask(ticket("k2"), terms(steps=1))

    await hold("c").set_terms("t", terms(version=2, steps=2))

    assert await names_granted(hold("b")) == ["k2"]


async def test_a_replica_with_old_terms_does_not_bring_them_back(hold: Hold) -> None:
    await hold("a").set_terms("t", terms(version=2, steps=1))

    await hold("b").ask(ticket("k1"), terms(version=1, steps=9))

    assert await hold("b").ask(ticket("k2"), terms(version=1, steps=9)) is None


@pytest.mark.parametrize(("before", "now", "answer"), [(1, 2, "open"), (2, 1, "full")])
async def test_a_changed_default_is_in_force_though_the_tenants_own_terms_are_as_old(
    hold: Hold, before: int, now: int, answer: str
) -> None:
    await hold("a").open_run("r1", "t", terms(runs=before))

    assert await hold("b").open_run("r2", "t", terms(runs=now)) == answer


async def test_a_raised_default_lets_those_go_on_whom_the_old_one_had_stopped(hold: Hold) -> None:
    await hold("a").ask(ticket("k1"), terms(steps=1))
    await hold("a").ask(ticket("k2"), terms(steps=1))

    await hold("b").ask(ticket("k3"), terms(steps=3))

    assert await names_granted(hold("a")) == ["k2"]
    assert (await hold("b").standing("t")).held.steps == 3


async def test_who_waits_for_more_than_a_lowered_quota_allows_is_forgotten_and_told_when_asking_again(
    hold: Hold,
) -> None:
    quota, lowered = terms(cpu=4.0), terms(version=2, cpu=2.0)
    for name, cpu_m in (("k1", 1500), ("large", 4000), ("small", 1000)):
        await hold("a").ask(ticket(name, cpu_m=cpu_m), quota)

    await hold("b").set_terms("t", lowered)

    assert (await hold("a").renew(waiting=["large", "small"], holding=["k1"])).unknown == ("large",)
    assert (await hold("a").standing("t")).waiting == 1
    with pytest.raises(NeverFitsError):
        await hold("a").ask(ticket("large", cpu_m=4000), quota)
    await hold("a").end(["k1"])
    assert await names_granted(hold("a")) == ["small"]


async def test_runs_are_counted_and_one_too_many_is_refused(hold: Hold) -> None:
    assert await hold("a").open_run("r1", "t", terms(runs=2)) == "open"
    assert await hold("b").open_run("r2", "t", terms(runs=2)) == "open"
    assert await hold("b").open_run("r3", "t", terms(runs=2)) == "full"

    await hold("a").end(["r1"])

    assert await hold("b").open_run("r3", "t", terms(runs=2)) == "open"
    assert (await hold("b").standing("t")).runs == 2


async def test_many_at_once_do_not_pass_the_quota(hold: Hold) -> None:
    asked = [hold("ab"[number % 2]).ask(ticket(f"k{number}"), terms(steps=7)) for number in range(40)]

    grants = [grant for grant in await asyncio.gather(*asked) if grant is not None]

    assert len(grants) == 7
    assert (await hold("a").standing("t")).held.steps == 7


async def test_what_is_asked_at_once_for_a_tenant_is_answered_one_after_the_other(hold: Hold) -> None:
    one, quota = hold("a"), terms(runs=1, cpu=1.0)

    answers = await asyncio.gather(
        one.open_run("r1", "t", quota),
        one.open_run("r2", "t", quota),
        one.ask(ticket("too large", cpu_m=2000), quota),
        one.ask(ticket("k1", cpu_m=1000), quota),
        return_exceptions=True,
    )
    await one.end(["r1"])
    third = await one.open_run("r3", "t", quota)

    first, second, too_large, grant = answers
    assert (first, second, third) == ("open", "full", "open")
    assert isinstance(too_large, NeverFitsError)
    assert grant is not None
    standing = await one.standing("t")
    assert (standing.runs, standing.held.cpu_m) == (1, 1000)


async def test_a_question_that_nobody_waits_for_any_more_takes_no_other_s_answer(hold: Hold) -> None:
    one = hold("a")
    gives_up = asyncio.ensure_future(one.standing("t"))
    stays = asyncio.ensure_future(one.open_run("r1", "t", terms()))
    await asyncio.sleep(0)

    gives_up.cancel()

    assert await stays == "open"
    assert (await one.standing("t")).runs == 1


async def test_what_a_dead_holder_had_comes_back_when_its_lease_runs_out(hold: Hold, clock: Clock) -> None:
    await hold("dead").ask(ticket("k1"), terms(steps=1))
    await hold("dead").open_run("r1", "t", terms(steps=1))
    await hold("a").ask(ticket("k2"), terms(steps=1))
    for _ in range(4):
        clock.now += 4.0
        await hold("a").renew(waiting=["k2"], holding=[])

    assert await names_granted(hold("a")) == ["k2"]
    assert (await hold("a").standing("t")).runs == 0


async def test_who_renews_keeps_what_it_has(hold: Hold, clock: Clock) -> None:
    await hold("a").ask(ticket("k1"), terms(steps=1))
    await hold("b").ask(ticket("k2"), terms(steps=1))
    for _ in range(10):
        clock.now += 4.0
        await hold("a").renew(waiting=[], holding=["k1"])
        await hold("b").renew(waiting=["k2"], holding=[])

    assert await names_granted(hold("b")) == []


async def test_what_a_holder_no_longer_names_has_ended_without_being_told(hold: Hold, clock: Clock) -> None:
    await hold("a").ask(ticket("k1"), terms(steps=1))
    for _ in range(2):
        clock.now += 4.0
        await hold("a").renew(waiting=[], holding=[])

    assert (await hold("a").standing("t")).held.steps == 0


async def test_a_grant_whose_message_was_lost_is_told_on_renewal(hold: Hold) -> None:
    await hold("a").ask(ticket("k1"), terms(steps=1))
    await hold("a").ask(ticket("k2"), terms(steps=1))
    await hold("a").end(["k1"])
    await hold("a").granted(wait_s=0)  # and nobody reads it

    renewed = await hold("a").renew(waiting=["k2"], holding=[])

    assert [grant.ticket for grant in renewed.granted] == ["k2"]


async def test_after_a_silence_nobody_is_taken_for_dead_and_nothing_is_granted_too_early(
    hold: Hold, clock: Clock
) -> None:
    await hold("a").ask(ticket("k1"), terms(steps=2))
    clock.now += 3600.0  # Redis was away

    early = await hold("b").ask(ticket("k2"), terms(steps=2))
    opened = await hold("b").open_run("r1", "t", terms(steps=2))
    renewed = await hold("a").renew(waiting=[], holding=["k1"])
    assert (early, opened, renewed.unknown) == (None, "waking", ())
    clock.now += RULES.quiet_s
    await hold("b").renew(waiting=["k2"], holding=[])

    assert await names_granted(hold("b")) == ["k2"]
    assert (await hold("a").standing("t")).held.steps == 2


async def test_a_ledger_that_lost_everything_is_told_what_runs_before_it_grants(clock: Clock, valkey: Any) -> None:
    before = RedisLedger(valkey, "a", clock=clock)
    await before.inaugurate()
    await before.set_pools({"p": ROOMY})
    await before.ask(ticket("k1"), terms(steps=2))
    await before.open_run("r1", "t", terms(steps=2, runs=1))
    await valkey.flushdb()

    other = RedisLedger(valkey, "b", clock=clock)
    await other.set_pools({"p": ROOMY})
    for name in ("k2", "k3"):
        assert await other.ask(ticket(name), terms(steps=2)) is None
    renewed = await before.renew(waiting=[], holding=["k1", "r1"])
    assert set(renewed.unknown) == {"k1", "r1"}
    await before.restore([ticket("k1")], {"r1": "t"})
    clock.now += RULES.quiet_s
    await other.renew(waiting=["k2", "k3"], holding=[])

    assert len(await other.granted(wait_s=0)) == 1
    standing = await other.standing("t")
    assert (standing.held.steps, standing.runs) == (2, 1)
    assert await other.open_run("r2", "t", terms(version=2, runs=1)) == "full"


async def a_day_passes(valkey: Any) -> None:
    """What expires is gone, as when nobody has touched it."""
    for key in await valkey.keys():
        if await valkey.ttl(key) >= 0:
            await valkey.delete(key)


async def test_what_runs_longer_than_a_day_is_held_until_it_ends_and_given_back_once(clock: Clock, valkey: Any) -> None:
    ledger = RedisLedger(valkey, "a", clock=clock)
    await ledger.inaugurate()
    await ledger.set_pools({"p": Amounts(4, 0, 0, 0)})
    for number in range(4):
        await ledger.ask(ticket(f"long {number}"), terms())

    await a_day_passes(valkey)
    early = await ledger.ask(ticket("early"), terms())
    await ledger.end(["early", *(f"long {number}" for number in range(4))])
    grants = [await ledger.ask(ticket(f"k{number}"), terms()) for number in range(6)]

    assert early is None
    assert len([grant for grant in grants if grant is not None]) == 4


async def test_nothing_is_left_of_who_waited_or_ran_a_day_after_their_holder_died(clock: Clock, valkey: Any) -> None:
    dead, other = (RedisLedger(valkey, name, clock=clock) for name in ("dead", "other"))
    await dead.inaugurate()
    await dead.set_pools({"p": ROOMY, "without Runners": Amounts()})
    await dead.ask(ticket("runs"), terms())
    await dead.ask(ticket("waits", pool="without Runners"), terms())

    for _ in range(4):
        clock.now += 4.0
        await other.renew(waiting=[], holding=[])
    await a_day_passes(valkey)

    left = {key.decode().partition("{ledger}:")[2].partition(":")[0] for key in await valkey.keys()}
    assert left == {"meta", "holders", "pools", "pool", "held", "terms"}


@pytest.mark.parametrize("order", ["fair", "first come"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_redis_and_the_pure_scheduler_tell_the_same_story(
    valkey: Any, clock: Clock, seed: int, order: str
) -> None:
    rules = LedgerRules(fair=FairRules(fair=order == "fair", patience_s=4.0))
    memory = MemoryLedgers(rules, clock=clock).holder("a")
    real = RedisLedger(valkey, "a", rules=rules, clock=clock)
    dice = random.Random(seed)  # noqa: S311 - a story, not a secret
    live: list[str] = []
    for both in (memory, real):
        await both.inaugurate()
        await both.set_pools({"p": Amounts(6, 6000, 8192, 0), "q": Amounts(3, 0, 0, 2000)})

    for number in range(400):
        clock.now += dice.choice([0.0, 0.25, 1.0])
        what = dice.random()
        if what < 0.55 or not live:
            pool = dice.choice("pq")
            need = Amounts(1, dice.choice([250, 1000, 4000]), dice.choice([128, 4096]), 1000 if pool == "q" else 0)
            one = Ticket(
                id=f"k{number}", tenant=dice.choice("tuvw"), pool=pool, need=need, priority=dice.randint(-1, 1)
            )
            said = terms(version=1, weight=2.0, steps=3, cpu=6.0)
            assert await answer_to(memory, one, said) == await answer_to(real, one, said)
            live.append(one.id)
        elif what < 0.9:
            over = live.pop(dice.randrange(len(live)))
            await memory.end([over])
            await real.end([over])
        elif what < 0.95:
            changed = terms(
                version=dice.choice([1, number + 2]),
                weight=dice.choice([0.5, 3.0]),
                steps=dice.choice([1, 5, None]),
                cpu=dice.choice([8.0, 2.0]),
            )
            tenant = dice.choice("tuvw")
            await memory.set_terms(tenant, changed)
            await real.set_terms(tenant, changed)
        else:
            assert (await memory.renew(waiting=[], holding=live)).unknown == (
                await real.renew(waiting=[], holding=live)
            ).unknown
        assert list(await memory.granted(wait_s=0)) == list(await real.granted(wait_s=0)), f"after {number}"
        for tenant in "tuvw":
            assert await memory.standing(tenant) == await real.standing(tenant), f"after {number}"
        assert await memory.turns("tuvw", "pq") == await real.turns("tuvw", "pq"), f"after {number}"
