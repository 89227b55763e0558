"""The API's description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.unit.serve.service import service


def references(part: Any) -> Iterator[str]:
    match part:
        case dict():
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for inner in part.values():
                yield from references(inner)
        case list():
            for inner in part:
                yield from references(inner)


async def described() -> dict[str, Any]:
    document: dict[str, Any] = (await service().http.get("/openapi.json")).json()
    return document


async def test_every_reference_leads_somewhere() -> None:
    document = await described()
    found = set(references(document))
    assert "#/components/schemas/RunBody" in found
    for reference in found:
        part: Any = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        assert part


async def test_every_operation_says_what_it_does_and_how_it_fails() -> None:
    for path, operations in (await described())["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            assert operation["description"].startswith(operation["summary"])
            kind = "OpenAIError" if path.startswith("/v1/") else "Problem"
            assert operation["responses"]["default"] == {"$ref": f"#/components/responses/{kind}"}


async def test_every_answer_is_described() -> None:
    undescribed = {
        path
        for path, operations in (await described())["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and not answer.get("content", {}).get("application/json", {"schema": True})["schema"]
    }
    assert undescribed == {"/api/v1/auto_login"}  # which refuses everybody


async def test_the_path_and_the_query_of_a_run_are_described_though_read_by_hand() -> None:
    run = (await described())["paths"]["/api/v1/run/{flow}"]["post"]
    assert {(one["name"], one["in"]) for one in run["parameters"]} == {
        ("flow", "path"),
        ("stream", "query"),
        ("cancel_on_disconnect", "query"),
    }


async def test_the_page_to_try_it_needs_nothing_of_other_hosts() -> None:
    http = service().http
    page = (await http.get("/docs", headers={"x-api-key": ""})).text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(loaded) == 3
    for address in loaded:
        assert address.startswith("/")
        assert (await http.get(address, headers={"x-api-key": ""})).status_code == 200
