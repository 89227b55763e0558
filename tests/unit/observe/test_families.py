"""The closed list of what is measured."""

from __future__ import annotations

import re
from math import inf, nan

import pytest

from flowray.observe.families import COUNTED, CPU_SECONDS, LOOKED_UP, RUN_SECONDS, Family
from flowray.observe.tally import Tally, bucket

ALL = [*COUNTED, *LOOKED_UP]
ENDS = {"counter": "_total", "histogram": "_seconds", "summary": "_seconds"}


def test_names_are_unique() -> None:
    assert len({family.name for family in ALL}) == len(ALL)


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_names_and_labels_are_what_prometheus_recommends(family: Family) -> None:
    assert re.fullmatch(r"flowray_[a-z_]+", family.name)
    assert family.name.endswith(ENDS.get(family.kind, ""))
    assert all(re.fullmatch(r"[a-z_]+", label) for label in family.labels)
    assert bool(family.buckets) == (family.kind == "histogram")


@pytest.mark.parametrize("family", COUNTED, ids=lambda family: family.name)
def test_what_is_counted_belongs_to_a_tenant(family: Family) -> None:
    assert family.labels[0] == "tenant"


@pytest.mark.parametrize(
    ("seconds", "part"), [(0.0, "0.01"), (0.01, "0.01"), (0.011, "0.025"), (3600.0, "3600.0"), (3601.0, "+Inf")]
)
def test_a_bucket_counts_up_to_its_bound_and_with_it(seconds: float, part: str) -> None:
    assert bucket(RUN_SECONDS, seconds) == part


@pytest.mark.parametrize("amount", [inf, -inf, nan])
def test_what_is_no_number_is_not_counted(amount: float) -> None:
    tally = Tally()
    tally.add(CPU_SECONDS, "acme", "Invoices", "f1", amount=amount)
    tally.note(RUN_SECONDS, "acme", "Invoices", "f1", seconds=amount)
    assert not tally.amounts
