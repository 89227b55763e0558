"""Tables as JSON: columns, their types, rows; and a table of the same types back from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd  # type: ignore[import-untyped]  # has no stubs
from lfx.schema.dataframe import DataFrame

_AS_THEY_ARE = "iub"  # numpy's kinds for integers and booleans


def to_json(table: pd.DataFrame, cell: Callable[[Any], Any]) -> dict[str, Any]:
    """The table by rows. `cell` makes JSON of what one cell of an object column holds."""
    columns = [_column(table.iloc[:, at], cell) for at in range(table.shape[1])]
    plain: dict[str, Any] = {
        "columns": [cell(name) for name in table.columns],
        "dtypes": [str(dtype) for dtype in table.dtypes],
        "data": [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(len(table))],
        "text_key": getattr(table, "_text_key", "text"),
        "default_value": getattr(table, "_default_value", ""),
    }
    if not _counts_from_zero(table.index):
        plain["index"] = [cell(label) for label in table.index]
    return plain


def from_json(plain: Mapping[str, Any], cell: Callable[[Any], Any]) -> DataFrame:
    """The table back; a column whose type is not known here keeps its cells as they are."""
    names = [cell(name) for name in plain["columns"]]
    rows = plain["data"]
    index = [cell(label) for label in plain["index"]] if "index" in plain else range(len(rows))
    series = [_series([row[at] for row in rows], dtype, index, cell) for at, dtype in enumerate(plain["dtypes"])]
    table = pd.concat(series, axis=1) if series else pd.DataFrame(index=index)
    table.columns = pd.Index(names)
    restored = DataFrame(table, text_key=plain.get("text_key", "text"), default_value=plain.get("default_value", ""))
    restored.index = table.index
    return restored


def _column(series: pd.Series[Any], cell: Callable[[Any], Any]) -> list[Any]:
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, pd.api.extensions.ExtensionDtype):
        return [cell(item) for item in series.astype(object)]
    if kind in _AS_THEY_ARE:
        return list(series.tolist())
    if kind == "f":
        # JSON knows no NaN; in a column of floats nothing else can be missing, so null is read back as NaN.
        return [None if item != item else cell(item) for item in series.tolist()]  # noqa: PLR0124
    return [cell(item) for item in series.tolist()]


def _series(items: list[Any], dtype: str, index: Any, cell: Callable[[Any], Any]) -> pd.Series[Any]:
    values = [cell(item) for item in items]
    try:
        return pd.Series(values, dtype=dtype, index=index)
    except (TypeError, ValueError):
        return pd.Series(values, dtype=object, index=index)


def _counts_from_zero(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
