"""Usage and quotas over HTTP: one's own for who may look, anybody's for operators; a stop when a budget is spent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from flowray.quotas.budget import Budgets, Finding
from flowray.quotas.refusals import BudgetSpentError
from flowray.quotas.settled import budgets_of
from flowray.quotas.usage import MemoryUsageBook, Row
from flowray_serve.admission.spending import BudgetKeeper
from tests.unit.serve.service import ECHO, OTHER_KEY, Service, service
from tests.unit.serve.test_http_background import submitted

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


async def used(made: Service, tenant: str, **row: str) -> None:
    # Not what was today when the tests were collected: they may run at midnight.
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    uses = {Row(today, "f1", **row): {"runs": 1.0, "tokens": 7.0}}
    await made.services.shares.book.add(tenant, f"run of {tenant}", uses)


async def test_a_tenant_sees_what_it_has_used_and_nobody_elses() -> None:
    made = service()
    await used(made, "default", node="Agent-1", model="gpt-4o")
    await used(made, "other")

    answer = await made.http.get("/api/v1/usage", params={"by": "flow,model"})
    foreign = await made.http.get("/api/v1/usage", params={"tenant": "default"}, headers={"x-api-key": OTHER_KEY})

    (row,) = answer.json()["usage"]
    assert (row["flow"], row["model"], row["tokens"]) == ("f1", "gpt-4o", 7)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")


async def test_csv_has_a_head_and_no_formulas() -> None:
    made = service()
    await used(made, "default", node="n", model="=cmd()")

    answer = await made.http.get("/api/v1/usage", params={"by": "model", "format": "csv"})

    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines()[0].startswith("model,runs,steps")
    assert answer.text.splitlines()[1].startswith("'=cmd()")


@pytest.mark.parametrize(
    "wrong", [{"by": "week"}, {"by": ","}, {"since": "2026-11-02", "until": "2026-11-01"}, {"since": "2020-01-01"}]
)
async def test_what_cannot_be_asked_for_is_refused(wrong: dict[str, str]) -> None:
    answer = await service().http.get("/api/v1/usage", params=wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_quota_is_shown_with_what_is_taken_of_it() -> None:
    made = service()
    quotas = {"runs": 3, "rates": {"run": "100/s", "key_run": "10/min+50"}}
    await made.services.tenants.settle("default", {"quotas": quotas, "budgets": {"day": {"tokens": 10}}})
    await used(made, "default")

    shown = (await made.http.get("/api/v1/quota")).json()

    assert (shown["quota"]["runs"], shown["now"]["runs"]) == (3, 0)
    assert shown["rates"] == {"run": "100/s", "key_run": "10/min+50"}
    assert shown["budgets"]["day"] == {"most": {"tokens": 10}, "used": {"runs": 1, "tokens": 7}}


async def test_a_quota_is_shown_with_what_is_kept() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    await made.services.store.save_file("default", f"{flow_id}/a.bin", bytes(2 * 1024 * 1024))
    await made.services.store.save_file("other", f"{flow_id}/a.bin", bytes(2 * 1024 * 1024))

    now = (await made.http.get("/api/v1/quota")).json()["now"]

    assert now["flows"] == 1
    assert 2 < now["stored_mib"] < 2.1


async def test_a_quota_is_shown_with_how_many_runs_wait() -> None:
    made = service()
    await submitted(made, await made.publish(ECHO))

    mine = (await made.http.get("/api/v1/quota")).json()["now"]
    other = (await made.http.get("/api/v1/quota", headers={"x-api-key": OTHER_KEY})).json()["now"]

    assert (mine["queued"], other["queued"]) == (1, 0)


async def test_a_budget_warns_and_then_stops() -> None:
    book, told = MemoryUsageBook(), list[str]()

    async def settled(_: str) -> Budgets:
        return budgets_of({"day": {"tokens": 10}, "warn_at": 0.5})

    async def notify(_: str, __: Budgets, finding: Finding) -> None:
        told.append(finding.level)

    now = [NOON]
    keeper = BudgetKeeper(book, settled, notify, clock=lambda: now[0])
    await keeper.require_budget("t")
    await book.add("t", "r1", {Row("2026-11-25", "f"): {"tokens": 6.0}})
    now[0] = NOON.replace(second=5)
    await keeper.require_budget("t")
    await book.add("t", "r2", {Row("2026-11-25", "f"): {"tokens": 6.0}})
    now[0] = NOON.replace(second=10)

    with pytest.raises(BudgetSpentError, match="used 12 of the 10 `tokens`") as spent:
        await keeper.require_budget("t")

    await asyncio.sleep(0)
    assert told == ["warning", "spent"]
    assert int(spent.value.headers["retry-after"]) == 12 * 3600 - 10
