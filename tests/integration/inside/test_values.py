from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pandas as pd  # type: ignore[import-untyped]  # has no stubs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from lfx.schema.content_types import TextContent, ToolContent
from lfx.schema.data import Data
from lfx.schema.dataframe import DataFrame
from lfx.schema.message import Message
from lfx.schema.properties import Source

from flowray_sandbox.tags import TAG, CannotTravelError
from flowray_sandbox.values import INLINE_LIMIT_BYTES, decode, encode


def travelled(value: Any) -> Any:
    """The value after its way through JSON."""
    blobs: list[bytes] = []

    def keep(content: bytes) -> int:
        blobs.append(content)
        return len(blobs) - 1

    return decode(json.loads(orjson.dumps(encode(value, keep))), blobs)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        42,
        2**80,
        1.5,
        math.inf,
        "text",
        "x" * (INLINE_LIMIT_BYTES + 1),
        b"\x00\xff",
        [1, "two", None, [3]],
        {"a": {"b": [1]}},
        {1: "one", 2.5: "two and a half", None: "none"},
        {TAG: "not a tag of ours"},
        {
            "date": date(2026, 1, 2),
            "datetime": datetime(2026, 1, 2, tzinfo=UTC),
            "duration": timedelta(seconds=1.5),
            "decimal": Decimal("1.10"),
            "uuid": UUID(int=7),
            "bytes": b"raw",
        },
    ],
)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert travelled(value) == value


def test_not_a_number_comes_back() -> None:
    assert math.isnan(travelled(math.nan))
    assert math.isnan(travelled({"a": [math.nan]})["a"][0])


def test_a_message_comes_back_with_everything_that_lfx_put_into_it() -> None:
    message = Message(text="hi", sender="User", sender_name="U", session_id="s", files=["a/b.txt"])
    message.properties.source = Source(id="x", display_name="X", source="m")
    message.content_blocks = [ToolContent(name="t", tool_input={"a": 1}, output="x"), TextContent(text="hi")]

    back = travelled(message)

    assert isinstance(back, Message)
    assert back.model_dump() == message.model_dump()


def test_a_message_comes_back_with_what_a_component_put_into_it() -> None:
    message = Message(text="hi", when=datetime(2026, 1, 2, tzinfo=UTC), nested={"data": Data(data={"a": 1})})

    back = travelled(message)

    assert back.data["when"] == datetime(2026, 1, 2, tzinfo=UTC)
    assert back.data["nested"]["data"] == Data(data={"a": 1})


def test_a_message_that_still_streams_cannot_travel() -> None:
    with pytest.raises(CannotTravelError, match="streaming"):
        travelled(Message(text=iter(["a", "b"])))


def test_a_record_comes_back_with_its_text_key() -> None:
    data = Data(data={"body": "hi", "n": [1, 2]}, text_key="body", default_value="none")

    back = travelled(data)

    assert back == data
    assert (back.text_key, back.default_value) == ("body", "none")


def test_records_and_messages_in_a_list_come_back() -> None:
    values = [Data(data={"a": 1}), Message(text="hi"), {"in": Data(data={"b": 2})}]

    back = travelled(values)

    assert back[0] == values[0]
    assert back[1].text == "hi"
    assert back[2]["in"] == Data(data={"b": 2})


def test_a_table_comes_back_with_the_types_of_its_columns() -> None:
    table = DataFrame(
        pd.DataFrame(
            {
                "text": ["a", None],
                "count": [1, 2],
                "share": [0.5, math.nan],
                "sure": [True, False],
                "day": pd.to_datetime(["2026-01-02", "2026-01-03"]),
                "kind": pd.Categorical(["x", "y"]),
                "any": [{"a": 1}, Data(data={"b": 2})],
            }
        )
    )

    back = travelled(table)

    assert isinstance(back, DataFrame)
    assert [str(dtype) for dtype in back.dtypes] == [str(dtype) for dtype in table.dtypes]
    assert list(back["text"]) == ["a", None]
    assert back["any"][1] == Data(data={"b": 2})
    pd.testing.assert_frame_equal(
        back.drop(columns=["any", "kind"]), table.drop(columns=["any", "kind"]), check_like=True
    )


def test_a_date_that_is_missing_is_still_missing_when_it_comes_back() -> None:
    day, gap = pd.Timestamp("2026-01-02"), pd.NaT
    columns = {"day": [day, gap], "there": [day.tz_localize("UTC"), gap], "took": [pd.Timedelta(seconds=2), gap]}
    table = DataFrame(pd.DataFrame(columns))

    pd.testing.assert_frame_equal(travelled(table), table)
    assert travelled([day, gap, pd.NA, np.datetime64("NaT")]) == [day, None, None, None]


def test_numpys_dates_and_durations_come_back_as_such() -> None:
    at, took = np.datetime64("2026-01-02T03:04:05.000000006", "ns"), np.timedelta64(1_500_000_000, "ns")

    assert travelled([at, took]) == [pd.Timestamp("2026-01-02T03:04:05.000000006"), timedelta(seconds=1.5)]


@pytest.mark.parametrize(
    "table", [DataFrame(), DataFrame(pd.DataFrame({"a": []})), DataFrame(pd.DataFrame(index=[5, 6]))]
)
def test_an_empty_table_comes_back_empty(table: Any) -> None:
    back = travelled(table)

    assert list(back.columns) == list(table.columns)
    assert list(back.index) == list(table.index)


def test_a_table_with_an_index_of_its_own_keeps_it() -> None:
    table = DataFrame(pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))

    assert list(travelled(table).index) == ["x", "y"]


@pytest.mark.parametrize("value", [object(), lambda: None, {"a": object()}, [open]])
def test_live_objects_cannot_travel(value: Any) -> None:
    with pytest.raises(CannotTravelError):
        travelled(value)


def test_a_value_that_holds_itself_cannot_travel() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(CannotTravelError, match="nested"):
        travelled(value)


def test_what_is_no_character_is_replaced() -> None:
    assert travelled("a\ud800b") == "a?b"
    assert travelled(Message(text="a\ud800b")).text == "a?b"


_keys = some.text(some.characters(exclude_categories=["Cs"]))
_json = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | _keys,
    lambda inner: some.lists(inner) | some.dictionaries(_keys, inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(_json)
def test_whatever_is_json_comes_back_as_it_was(value: Any) -> None:
    assert travelled(value) == value
