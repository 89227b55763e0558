"""Names of flows that several want at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.errors import ConflictError
from flowray.stores.documents import Documents
from flowray.stores.generations import Generations
from flowray.stores.objects import ObjectStore
from tests.contract.overtaken import Old
from tests.contract.test_documents import ACME, flow

KEY = "tenants/acme/names/name/nwanted"


async def test_of_two_that_find_a_name_whose_flow_was_never_saved_one_gets_it(
    objects: ObjectStore, generations: Generations
) -> None:
    await objects.create(KEY, b"crashed")
    there = Documents(Old(objects), generations)
    here = Documents(Old(objects, lambda: there.save(ACME, flow("two", name="wanted"))), generations)
    with pytest.raises(ConflictError, match="belongs to the flow `two`"):
        await here.save(ACME, flow("one", name="wanted"))
    assert [one.id for one in await there.list(ACME)] == ["two"]


async def test_a_save_that_is_made_again_after_a_while_has_its_name_to_itself(
    documents: Documents, objects: ObjectStore, generations: Generations
) -> None:
    await objects.create(KEY, b"one")
    there = Documents(Old(objects, lambda: documents.save(ACME, flow("one", name="wanted"))), generations)
    with pytest.raises(ConflictError, match="belongs to the flow `one`"):
        await there.save(ACME, flow("two", name="wanted"))
    assert [one.id for one in await documents.list(ACME)] == ["one"]


async def test_a_name_that_was_taken_over_is_not_given_up_by_who_had_it(
    documents: Documents, objects: ObjectStore, generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, release = Documents(Old(objects), generations), documents._names.release

    async def taken_over_first(*what: Any, **facts: Any) -> None:
        await there.save(ACME, flow("two", name="wanted"))
        await release(*what, **facts)

    await documents.save(ACME, flow("one", name="wanted"))
    monkeypatch.setattr(documents._names, "release", taken_over_first)
    await documents.save(ACME, flow("one", name="renamed", revision="r2"))

    with pytest.raises(ConflictError, match="belongs to the flow `two`"):
        await there.save(ACME, flow("three", name="wanted"))
