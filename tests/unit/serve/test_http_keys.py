"""Keys over HTTP, in Langflow's shapes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.serve.service import KEYS_BY_ROLE, OTHER_KEY, Service, service

KEYS = "/api/v1/api_key/"


async def made_key(made: Service, **body: Any) -> dict[str, Any]:
    response = await made.http.post(KEYS, json=body)
    assert response.status_code == 200, response.text
    key: dict[str, Any] = response.json()
    return key


async def test_a_new_key_opens_what_its_maker_may() -> None:
    made = service()
    key = await made_key(made, name="laptop")
    assert key["roles"] == ["admin"]
    assert (await made.http.get(KEYS, headers={"x-api-key": key["api_key"]})).status_code == 200


async def test_a_list_shows_a_key_by_its_first_characters_and_how_it_was_used() -> None:
    made = service()
    key = await made_key(made, name="laptop", roles=["runner"])
    await made.http.get("/api/v1/runs", headers={"x-api-key": key["api_key"]})

    listed = (await made.http.get(KEYS)).json()

    (shown,) = listed["api_keys"]
    assert listed["total_count"] == 1
    assert shown["api_key"].startswith(key["api_key"][:8])
    assert key["api_key"] not in str(listed)
    assert (shown["name"], shown["roles"], shown["total_uses"]) == ("laptop", ["runner"], 1)
    assert shown["last_used_at"] is not None
    assert (await made.http.get(KEYS, headers={"x-api-key": OTHER_KEY})).json()["api_keys"] == []


async def test_a_key_may_what_its_tenant_settles_from_the_next_request_on() -> None:
    made = service()
    key = await made_key(made, roles=["viewer"])
    theirs = {"x-api-key": key["api_key"]}
    assert (await made.http.post(KEYS, json={}, headers=theirs)).status_code == 403

    settled = (await made.http.patch(KEYS + key["id"], json={"roles": ["admin"]})).json()

    assert (settled["roles"], settled["expires_at"]) == (["admin"], None)
    assert (await made.http.post(KEYS, json={}, headers=theirs)).status_code == 200


async def test_nobody_settles_that_a_key_may_more_than_they_may() -> None:
    made = service()
    key = await made_key(made, roles=["viewer"])
    refused = await made.http.patch(KEYS + key["id"], json={"roles": ["operator"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_revoked_key_opens_nothing_from_the_next_request_on() -> None:
    made = service()
    key = await made_key(made)
    theirs = {"x-api-key": key["api_key"]}
    assert (await made.http.get(KEYS, headers=theirs)).status_code == 200

    assert (await made.http.delete(KEYS + key["id"])).json() == {"detail": "API Key deleted"}

    assert (await made.http.get(KEYS, headers=theirs)).status_code == 403


async def test_a_rotated_key_opens_the_same_and_the_old_one_nothing() -> None:
    made = service()
    old = await made_key(made, name="ci", roles=["viewer"])

    new = (await made.http.post(f"{KEYS}{old['id']}/rotate", json={})).json()

    answers = [await made.http.get("/api/v1/runs", headers={"x-api-key": one["api_key"]}) for one in (old, new)]
    assert [answer.status_code for answer in answers] == [403, 200]
    assert (new["name"], new["roles"]) == ("ci", ["viewer"])


@pytest.mark.parametrize("roles", [["operator"], ["viewer", "operator"]])
async def test_nobody_gives_a_key_that_may_more_than_they_may(roles: list[str]) -> None:
    response = await service().http.post(KEYS, json={"roles": roles})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


async def test_an_operator_gives_the_operators_role_only_when_it_is_named() -> None:
    made = service()
    headers = {"x-api-key": KEYS_BY_ROLE["operator"]}
    plain = (await made.http.post(KEYS, json={}, headers=headers)).json()
    named = (await made.http.post(KEYS, json={"roles": ["operator"]}, headers=headers)).json()
    assert (plain["roles"], named["roles"]) == (["admin"], ["operator"])
    for refused in (
        await made.http.delete(KEYS + named["id"]),
        await made.http.post(f"{KEYS}{named['id']}/rotate", json={}),
    ):
        assert refused.status_code == 403


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"roles": ["king"]}, "roles.0"),
        ({"roles": []}, "roles"),
        ({"name": "x" * 101}, "name"),
        ({"expires_at": "yesterday"}, "expires_at"),
        ({"expires_at": (datetime.now(UTC) - timedelta(seconds=5)).isoformat()}, "expires_at"),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused_with_the_place(body: dict[str, Any], place: str) -> None:
    response = await service().http.post(KEYS, json=body)
    assert response.status_code == 422
    assert f"`{place}`" in response.json()["detail"]
