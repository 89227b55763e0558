"""Many runs from a file, against a whole service in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from flowray.client import AsyncClient
from flowray.client.batch import Batch, Ended, Item, read_items, so_far
from flowray.errors import FlowRayError, InvalidRequestError
from tests.unit.serve.service import ECHO, KEY, Service, service

LINES = ['"one"', "", '{"input_value": "two", "session": "s"}']


class Refusing(httpx.AsyncBaseTransport):
    """Answers as a service does that has no room, or is not there, before it lets a request through."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, status: int, times: int) -> None:
        self._inner = inner
        self._status = status
        self._times = times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and self._times:
            self._times -= 1
            problem = {"code": "queue_full", "detail": "100 runs wait already.", "status": self._status}
            return httpx.Response(self._status, json=problem)
        return await self._inner.handle_async_request(request)


async def outcomes(
    made: Service,
    items: Sequence[Item],
    *,
    flow: str = "",
    name: str = "b",
    refuses: tuple[int, int] = (429, 0),
) -> tuple[list[Ended], list[str]]:
    """What became of the items by line, and what was heard of waits. First the service `refuses`: how, how often."""
    flow = flow or await made.publish(ECHO)
    status, times = refuses
    transport = Refusing(httpx.ASGITransport(app=made.app), status=status, times=times)
    heard: list[str] = []
    async with made.engine(), AsyncClient("http://flowray.test", KEY, transport=transport) as client:
        batch = Batch(
            client=client,
            flow=flow,
            name=name,
            at_once=2,
            patience_s=60,
            on_wait=heard.append,
            pause=lambda _: asyncio.sleep(0),
        )
        ended = [one async for one in batch.run(items)]
    return sorted(ended, key=lambda one: one.line), heard


async def test_each_item_is_a_run_and_the_same_one_under_the_same_name() -> None:
    made = service()
    flow, items = await made.publish(ECHO), read_items([*LINES, '"three"'])

    first, _ = await outcomes(made, items, flow=flow)
    again, _ = await outcomes(made, items, flow=flow)
    others, _ = await outcomes(made, items, flow=flow, name="other")

    assert [(one.line, one.status, one.text) for one in first] == [
        (1, "succeeded", "one"),
        (3, "succeeded", "two"),
        (4, "succeeded", "three"),
    ]
    assert again == first
    assert not {one.job_id for one in others} & {one.job_id for one in first}


async def test_a_further_attempt_is_another_run() -> None:
    made = service()
    flow, items = await made.publish(ECHO), read_items(LINES)
    results = [{"line": 1, "status": "failed"}, {"line": 3, "status": "succeeded"}]

    first, _ = await outcomes(made, items, flow=flow)
    (second,), _ = await outcomes(made, so_far(results, items), flow=flow)

    assert (second.line, second.status) == (1, "succeeded")
    assert second.job_id not in {one.job_id for one in first}


async def test_a_success_is_that_of_its_options_however_they_are_written() -> None:
    (ended, _), _ = await outcomes(service(), read_items(LINES))
    row = {"line": 1, "status": ended.status, "digest": ended.digest}

    assert [item.line for item in so_far([row], read_items(['{"input_value":  "one"}', *LINES[1:]]))] == [3]
    for changed in (['"other"'], ['{"input_value": "one", "session": "s"}'], [""], []):
        with pytest.raises(InvalidRequestError, match=r"Line 1 of the inputs.*--out"):
            so_far([row], read_items(changed))


def test_a_line_without_success_may_be_mended() -> None:
    row = {"line": 2, "status": "refused", "digest": "0123456789abcdef"}

    (_, mended) = so_far([row], read_items(['"one"', '"two"']))

    assert (mended.line, mended.attempt) == (2, 1)


def test_a_success_from_before_there_were_digests_counts() -> None:
    assert so_far([{"line": 1, "status": "succeeded"}], read_items(['"one"'])) == []


@pytest.mark.parametrize("status", [429, 503])
async def test_a_service_without_room_or_away_is_waited_for(status: int) -> None:
    ended, heard = await outcomes(service(), read_items(LINES), refuses=(status, 7))

    assert [one.status for one in ended] == ["succeeded", "succeeded"]
    assert heard == ["100 runs wait already."] * 7


async def test_one_that_stays_away_ends_the_batch() -> None:
    with pytest.raises(FlowRayError, match="wait already"):
        await outcomes(service(), read_items(LINES), refuses=(502, 1_000))


async def test_what_the_service_refuses_is_one_items_matter() -> None:
    items = [Item(line=1, options={"tweaks": {"Nobody-1": {"x": 1}}}), Item(line=2, options={"input_value": "hi"})]

    (refused, ended), _ = await outcomes(service(), items)

    assert (refused.status, refused.job_id, "Nobody-1" in refused.error) == ("refused", "", True)
    assert ended.text == "hi"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("7", "neither an object nor a text"),
        ('{"input": "x"}', "`input` is nothing that a run is given"),
        ('{"input_value": 7}', "`input_value` has to be a text"),
        ('{"tweaks": "x"}', "`tweaks` has to be an object"),
        ("[" * 200_000, "nested too deep"),
        ('{"tweaks": {"a": ' + "[" * 900 + "]" * 900 + "}}", "nested deeper than 200"),
        ('{"tweaks": {"a": {"b": NaN}}}', "JSON cannot carry the number nan"),
        ('{"tweaks": {"a": {"b": 1e999}}}', "JSON cannot carry the number inf"),
        (r'"a\ud800b"', "lone surrogate"),
        (r'{"variables": {"\ud800": "x"}}', "lone surrogate"),
    ],
    ids=lambda text: text[:40],
)
def test_a_line_that_is_no_input_is_named(line: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"Line 2 of the inputs.*{says}"):
        read_items(['"one"', line])
