"""What may leave a sandbox."""

from __future__ import annotations

import pytest

from flowray.component.travel import can_travel, stays


@pytest.mark.parametrize(
    "name", ["Message", "Data", "JSON", "DataFrame", "Table", "str", "int", "float", "bool", "list", "dict"]
)
def test_typed_json_travels(name: str) -> None:
    assert can_travel([name])


@pytest.mark.parametrize(
    "name",
    [
        "Tool",
        "LanguageModel",
        "Embeddings",
        "Retriever",
        "VectorStore",
        "AgentExecutor",
        "SQLDatabase",
        "Callable",
        "Zebra",
        "",
    ],
)
def test_live_objects_and_unknown_types_stay(name: str) -> None:
    assert not can_travel([name])
    assert stays(["Message", name]) == (name,)


def test_a_value_of_no_known_type_stays() -> None:
    assert not can_travel([])


def test_a_value_that_may_be_a_live_object_stays() -> None:
    assert not can_travel(["Message", "LanguageModel"])
