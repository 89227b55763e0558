"""The scheduler, told stories: whose turn it is, what stops a tenant, and who never waits for ever."""

from __future__ import annotations

from flowray.quotas.amounts import Amounts
from flowray.quotas.fair import FairRules, FairShare
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.ticket import PRIORITY_WORTH_S, Ticket


def share_of(*, steps: int = 1, rules: FairRules | None = None) -> FairShare:
    share = FairShare(rules)
    share.set_pool("p", Amounts(steps, 0, 0, 0))
    return share


def ticket(name: str, *, tenant: str = "a", priority: int = 0, **need: int) -> Ticket:
    return Ticket(id=name, tenant=tenant, pool="p", need=Amounts(**{"steps": 1, **need}), priority=priority)


def granted(share: FairShare, now: float = 0.0) -> str | None:
    grant = share.decide("p", now)
    return grant.ticket if grant else None


def test_an_idle_pool_gives_one_tenant_all_it_has_up_to_its_quota() -> None:
    share = share_of(steps=10)
    share.set_terms("a", Terms(quota=Quota(steps=8)))
    for number in range(10):
        share.ask(ticket(f"k{number}"), now=0.0)

    given = [granted(share) for _ in range(10)]

    assert given == [f"k{number}" for number in range(8)] + [None, None]


def test_who_comes_late_has_a_turn_before_a_flood_is_over() -> None:
    share = share_of()
    for number in range(500):
        share.ask(ticket(f"flood{number:03}"), now=0.0)
    first = granted(share)
    share.ask(ticket("late", tenant="b"), now=1.0)

    share.end(str(first), now=1.0)

    assert granted(share, now=1.0) == "late"


def test_who_has_few_steps_need_not_wait_for_anothers_to_end() -> None:
    share = share_of(steps=16)
    for number in range(20):
        share.ask(ticket(f"flood{number:02}"), now=0.0)
    while granted(share) is not None:
        pass
    for number in range(5):
        share.ask(ticket(f"small{number}", tenant="b"), now=1.0)

    assert [granted(share, now=1.0) for _ in range(3)] == ["small0", None, None]
    assert (share.held("a").steps, share.held("b").steps) == (16, 1)


def test_without_fairness_who_comes_late_waits_for_all_who_came_before() -> None:
    share = share_of(rules=FairRules(fair=False))
    share.ask(ticket("flood1"), now=0.0)
    share.ask(ticket("flood2"), now=0.1)
    first = granted(share)
    share.ask(ticket("late", tenant="b"), now=1.0)

    share.end(str(first), now=1.0)

    assert granted(share, now=1.0) == "flood2"


def test_what_stops_one_tenant_stops_no_other() -> None:
    share = share_of(steps=10)
    share.set_terms("a", Terms(quota=Quota(steps=0)))
    share.ask(ticket("never"), now=0.0)
    share.ask(ticket("soon", tenant="b"), now=1.0)

    assert granted(share) == "soon"


def test_a_raised_quota_lets_those_go_on_whom_it_had_stopped() -> None:
    share = share_of(steps=10)
    share.set_terms("a", Terms(quota=Quota(cpu=1.0), version=1))
    share.ask(ticket("big", cpu_m=2000), now=0.0)
    assert granted(share) is None

    share.set_terms("a", Terms(quota=Quota(cpu=2.0), version=2))

    assert granted(share) == "big"


def test_older_terms_do_not_undo_newer_ones() -> None:
    share = share_of(steps=10)
    share.set_terms("a", Terms(quota=Quota(steps=1), version=2))
    share.set_terms("a", Terms(quota=Quota(steps=9), version=1))
    share.ask(ticket("k1"), now=0.0)
    share.ask(ticket("k2"), now=0.0)

    assert [granted(share), granted(share)] == ["k1", None]


def test_priority_counts_within_a_tenant_and_not_between_tenants() -> None:
    share = share_of(steps=2)
    share.ask(ticket("low", priority=-1), now=0.0)
    share.ask(ticket("high", priority=1), now=0.0)
    share.ask(ticket("other", tenant="b", priority=-5), now=0.0)

    assert [granted(share), granted(share)] == ["high", "other"]


def test_a_low_priority_that_has_waited_long_enough_comes_before_a_high_one() -> None:
    share = share_of()
    share.ask(ticket("old", priority=0), now=0.0)
    share.ask(ticket("new", priority=1), now=PRIORITY_WORTH_S + 1)

    assert granted(share, now=PRIORITY_WORTH_S + 1) == "old"


def test_a_large_step_is_passed_over_for_a_while_and_then_kept_a_place_for() -> None:
    share = share_of(steps=10, rules=FairRules(patience_s=10))
    share.set_pool("p", Amounts(10, 4000, 0, 0))
    share.ask(ticket("small", tenant="b", cpu_m=1000), now=0.0)
    assert granted(share) == "small"
    share.ask(ticket("large", cpu_m=4000), now=0.0)
    share.ask(ticket("round", tenant="b", cpu_m=1000), now=1.0)
    assert granted(share, now=1.0) == "round"
    share.ask(ticket("again", tenant="b", cpu_m=1000), now=11.0)

    assert granted(share, now=11.0) is None
    share.end("small", now=12.0)
    share.end("round", now=12.0)

    assert granted(share, now=12.0) == "large"


def test_who_withdraws_leaves_the_turn_to_the_next() -> None:
    share = share_of()
    share.ask(ticket("gone", priority=1), now=0.0)
    share.ask(ticket("here"), now=0.0)

    share.end("gone", now=0.0)

    assert granted(share) == "here"


def test_a_tenant_whose_steps_last_longer_than_guessed_pays_for_it() -> None:
    share = share_of()
    for tenant in "ab":
        for number in range(40):
            share.ask(ticket(f"{tenant}{number:02}", tenant=tenant), now=0.0)
    took = {"a": 9.0, "b": 1.0}
    seconds, now = {"a": 0.0, "b": 0.0}, 0.0
    for _ in range(40):
        name = str(granted(share, now))
        now += took[name[0]]
        seconds[name[0]] += took[name[0]]
        share.end(name, now)

    assert 0.8 < seconds["a"] / seconds["b"] < 1.6


def test_a_step_that_nobody_knew_of_counts_even_beyond_the_quota() -> None:
    share = share_of(steps=10)
    share.set_terms("a", Terms(quota=Quota(steps=1)))
    for name in ("known", "lost"):
        share.restore(ticket(name), now=0.0)
    share.ask(ticket("new"), now=0.0)

    assert share.held("a").steps == 2
    share.end("known", now=1.0)
    assert granted(share, now=1.0) is None
    share.end("lost", now=1.0)
    assert granted(share, now=1.0) == "new"
