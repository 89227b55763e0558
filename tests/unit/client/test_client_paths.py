"""Where the client's calls go, whatever the names in them are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin, get_type_hints
from urllib.parse import unquote

import httpx
import pytest

from flowray.client import admin_calls, calls, job_calls, share_calls, version_calls
from flowray.client.calls import Call
from flowray.errors import InvalidRequestError

MODULES = (calls, admin_calls, job_calls, share_calls, version_calls)
WORD = "word"
STRANGE = ("a?b", "a#b", "%2e%2e", "%2F", "a\\b", "a;b", "a b", "FLOW@prod", "Grüße", "...")
REFUSED = ("", ".", "..", "a/b", "../x", "\ud800")
HTTP = httpx.Client(base_url="http://flowray.test")
Make = Callable[..., Any]


def makers(module: ModuleType) -> Iterator[Make]:
    """The functions of a module that make a call, or a path for one."""
    for name, made in inspect.getmembers(module, inspect.isfunction):
        makes = get_origin(get_type_hints(made).get("return")) is Call or name.endswith("_path")
        if makes and made.__module__ == module.__name__:
            yield made


def given(hint: Any) -> Any:
    """Something for a parameter."""
    return {str: WORD, str | None: WORD, Path: Path(__file__), int: 1, float: 0.5, bool: True}.get(hint, {})


def route(make: Make, **words: str) -> tuple[str, str]:
    """The method and the path that a server sees, when some parameters are these words."""
    hints = {name: hint for name, hint in get_type_hints(make).items() if name != "return"}
    made = make(**{name: given(hint) for name, hint in hints.items()} | words)
    call = made if isinstance(made, Call) else Call(method="GET", path=made, read=lambda _: None)
    sent = HTTP.build_request(call.method, call.path).url.raw_path
    return call.method, unquote(sent.partition(b"?")[0].decode())


def spots() -> Sequence[tuple[Make, str]]:
    """Each function with each of its parameters that goes into the path."""
    return [
        (make, name)
        for module in MODULES
        for make in makers(module)
        for name, hint in get_type_hints(make).items()
        if name != "return" and hint in (str, str | None) and "other" in route(make, **{name: "other"})[1].split("/")
    ]


def test_all_calls_are_looked_at() -> None:
    files = {file.stem for file in Path(calls.__file__).parent.glob("*calls.py")}
    assert files == {module.__name__.rpartition(".")[2] for module in MODULES}
    assert len(spots()) > 30


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize(("make", "spot"), spots())
def test_a_strange_name_stays_one_segment_of_its_path(make: Make, spot: str, name: str) -> None:
    method, path = route(make, **{spot: "other"})
    assert route(make, **{spot: name}) == (method, path.replace("other", name))


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
@pytest.mark.parametrize(("make", "spot"), spots())
def test_a_name_that_would_lead_elsewhere_is_refused(make: Make, spot: str, name: str) -> None:
    if (spot, name) == ("tenant", ""):
        return  # the caller's own, which has a path of its own
    with pytest.raises(InvalidRequestError, match="neither a name nor an id"):
        route(make, **{spot: name})


@pytest.mark.parametrize("flow_id", ["..", "a/b"])
def test_a_document_with_such_an_id_is_not_published(flow_id: str) -> None:
    with pytest.raises(InvalidRequestError, match="neither a name nor an id"):
        calls.publish({"name": "x", "id": flow_id, "data": {"nodes": [], "edges": []}})
