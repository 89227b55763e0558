"""What may be settled for a tenant's share, and what it comes to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowray.component.spec import Needs
from flowray.errors import InvalidRequestError
from flowray.quotas.amounts import Amounts
from flowray.quotas.budget import findings, until_next
from flowray.quotas.needs import StepSize, amounts_of, cpu_weight
from flowray.quotas.quota import Quota
from flowray.quotas.settled import budgets_of, check_budgets, check_quotas, terms_of

NOON = datetime(2026, 12, 31, 12, tzinfo=UTC)


def test_a_tenants_own_quota_goes_over_the_default_and_null_lifts_it() -> None:
    terms = terms_of({"runs": 3, "cpu": None, "weight": 2}, Quota(runs=9, cpu=4.0, flows=7), version=5)

    assert terms.quota == Quota(runs=3, cpu=None, flows=7)
    assert (terms.weight, terms.version) == (2.0, 5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"run": 3}, "Did you mean `runs`"),
        ({"runs": 1.5}, "whole"),
        ({"cpu": -1}, "0 or more"),
        ({"cpu": True}, "number"),
        ({"cpu": float("nan")}, "number"),
        ({"weight": 0}, "weight"),
        ({"rates": {"run": "fast"}}, "rate"),
        ({"rates": {"walk": "1/s"}}, "walk"),
        ({"rates": "1/s"}, "mapping"),
    ],
)
def test_a_quota_that_cannot_be_is_refused_by_name(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        check_quotas("quotas", wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"week": {}}, {"day": 3}, {"day": {"token": 1}}, {"warn_at": 0}, {"webhook": "ftp://x"}, {"day": {"tokens": "x"}}],
)
def test_a_budget_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError, match="budgets"):
        check_budgets("budgets", wrong)


def test_a_step_takes_what_its_components_declare_and_else_what_its_pool_says() -> None:
    size = StepSize(cpu=0.5, memory_mib=256)

    assert amounts_of(Needs(), size) == Amounts(1, 500, 256, 0)
    assert amounts_of(Needs(cpu=2, memory_mib=1024, gpu=0.5), size) == Amounts(1, 2000, 1024, 500)


def test_many_steps_of_one_tenant_weigh_no_more_than_one_of_another() -> None:
    assert (cpu_weight(1), cpu_weight(4), cpu_weight(0.5), cpu_weight(10_000)) == (100, 25, 200, 1)


def test_many_steps_of_one_tenant_yield_to_few_of_another() -> None:
    together = [cpu_weight(steps) * steps for steps in (1, 2, 4, 8, 16, 32)]

    assert together[:3] == [100, 100, 100]
    assert together == sorted(together, reverse=True)
    assert together[-1] < 50


def test_budgets_warn_first_and_then_are_spent() -> None:
    budgets = budgets_of({"day": {"tokens": 100}, "month": {"money": 10}, "warn_at": 0.5})

    assert findings(budgets, used={"day": {"tokens": 49}}, at=NOON) == ()
    (warning,) = findings(budgets, used={"day": {"tokens": 50}}, at=NOON)
    assert (warning.level, warning.period) == ("warning", "2026-12-31")
    (spent,) = findings(budgets, used={"month": {"money": 10.5}}, at=NOON)
    assert (spent.level, spent.period, spent.most) == ("spent", "2026-12", 10)


def test_a_day_ends_at_midnight_and_a_month_with_its_last_day() -> None:
    assert until_next("day", NOON) == 12 * 3600
    assert until_next("month", NOON) == 12 * 3600
    assert until_next("month", datetime(2026, 2, 27, tzinfo=UTC)) == 2 * 86_400
