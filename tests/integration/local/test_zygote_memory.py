"""How the memory lies that runs share: what they write to is together, and what they only read is not counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowray.engine.commands import StartStep
from flowray.local import Local
from flowray.runner.body import Bodies
from flowray.runner.spec import Inputs, run_frames
from flowray.sandbox.image import find_image
from flowray.sandbox.limits import Limits
from tests.integration.local.conftest import Flows
from tests.integration.local.test_local import made_by

_HUGE_PAGE_BITS = 21


async def test_the_code_that_runs_execute_lies_side_by_side(local: Local) -> None:
    told = await made_by(
        local,
        """import json
        from flowray_sandbox import preload
        return Message(text=json.dumps([id(one.__code__) for hot in preload._HOT for one in hot._functions]))""",
    )

    pages = {address >> _HUGE_PAGE_BITS for address in json.loads(told)}
    assert max(pages) - min(pages) < 3


@pytest.mark.skipif(find_image().python.name == "python3.11", reason="the sandboxes' Python counts all references")
async def test_the_names_in_a_spec_are_not_counted(local: Local) -> None:
    told = await made_by(
        local,
        """import json, sys, orjson
        names = ("trace_as_metadata", "external_options", "override_skip", "fileTypes", "made up")
        read = [next(iter(orjson.loads(orjson.dumps({name: 1})))) for name in names]
        return Message(text=json.dumps([sys.getrefcount(one) for one in read]))""",
    )

    *known, unknown = json.loads(told)
    assert known == [(1 << 32) - 1] * len(known)
    assert unknown < 10


async def test_runs_are_rehearsed_with_all_that_a_runner_says(local: Local, flows: Flows) -> None:
    told = await made_by(
        local,
        """from flowray_sandbox import rehearsal
        return Message(text=rehearsal._specs()[-1].decode())""",
    )
    request = await local.prepare(flows["chat"])
    (step,) = request.plan.steps
    inputs = Inputs(upstream={}, files={}, states={}, blobs=())
    body = Bodies().of(request, step.id)
    (said,) = run_frames(request, StartStep(step=step.id), body, inputs, Limits())

    assert _names(json.loads(told)) == _names(json.loads(said[said.index(b"{") :]))


def _names(spec: dict[str, Any]) -> dict[str, Any]:
    """What is said in a spec, and in its parts."""
    return {name: sorted(spec[name]) if name in ("run", "limits", "inputs") else name for name in sorted(spec)}
