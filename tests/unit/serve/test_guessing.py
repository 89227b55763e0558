"""Who guesses keys waits."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from flowray_serve.auth.source import source_of
from tests.unit.serve.service import KEY, service


async def test_a_source_that_guesses_is_told_to_wait_and_who_is_known_there_is_not() -> None:
    made = service()
    assert (await made.http.get("/api/v1/runs")).status_code == 200
    answers = [await made.http.get("/api/v1/runs", headers={"x-api-key": f"fr-{guess}"}) for guess in range(12)]
    assert [answer.status_code for answer in answers[:11]] == [403] * 11
    assert (answers[11].status_code, answers[11].json()["code"]) == (429, "too_many_guesses")
    assert answers[11].headers["retry-after"] == "1"
    assert (await made.http.get("/api/v1/runs", headers={"x-api-key": KEY})).status_code == 200


async def test_who_goes_on_with_a_key_that_is_wrong_or_was_revoked_does_not_guess() -> None:
    made = service()
    issued = (await made.http.post("/api/v1/api_key/", json={})).json()
    was_good = {"x-api-key": issued["api_key"]}
    assert (await made.http.get("/api/v1/runs", headers=was_good)).status_code == 200
    await made.http.delete(f"/api/v1/api_key/{issued['id']}")
    for headers in (was_good, {"x-api-key": "fr-misspelt"}):
        answers = [await made.http.get("/api/v1/runs", headers=headers) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {403}


@pytest.mark.parametrize(
    ("proxies", "said", "source"),
    [
        (0, ["198.51.100.7"], "127.0.0.1"),
        (1, ["198.51.100.7"], "198.51.100.7"),
        (1, ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        (1, ["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
        (2, ["6.6.6.6, 198.51.100.7, 10.0.0.1"], "198.51.100.7"),
        (2, ["10.0.0.1"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
        (1, [" , "], "127.0.0.1"),
    ],
)
def test_only_those_who_are_trusted_say_where_a_request_comes_from(proxies: int, said: list[str], source: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in said]
    connection = HTTPConnection({"type": "http", "headers": headers, "client": ("127.0.0.1", 1)})
    assert source_of(connection, proxies=proxies) == source
