"""What may leave a sandbox."""

from __future__ import annotations

import pytest

from flowray.component.travel import stays


@pytest.mark.parametrize(
    "name", ["Message", "Data", "JSON", "DataFrame", "Table", "str", "int", "float", "bool", "list", "dict"]
)
def test_typed_json_travels(name: str) -> None:
    assert not stays([name])


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
    assert stays(["Message", name]) == (name,)
