"""Run by the Python of the sandboxes: that of the tests may be one that has no immortal objects."""

import json
import subprocess
from pathlib import Path

import pytest

import flowray_sandbox
from flowray.sandbox.image import find_image

_IMAGE = find_image()
_SEEN = """
import ctypes, json, sys
from flowray_sandbox import immortal

class Made:
    def __init__(self):
        self.text = "".join(["held by ", "an instance"])
        self.pairs = {"".join(["a ", "key"]): "".join(["a ", "value"])}

    def method(self):
        return lambda: ("a constant within", 12345678901)

kept = Made()
loop = [kept]
loop.append(loop)
marked = immortal.keep_for_ever()
inner = Made.method.__code__.co_consts
objects = {
    "instance": kept, "text": kept.text, "dict": kept.pairs, "key": next(iter(kept.pairs)),
    "value": kept.pairs["a key"], "class": Made, "bases": Made.__bases__, "function": Made.method,
    "code": Made.method.__code__, "inner code": next(one for one in inner if hasattr(one, "co_consts")),
    "inner constant": next(one for one in inner if hasattr(one, "co_consts")).co_consts, "list": loop, "module": json,
}
mortal = [name for name, one in objects.items() if sys.getrefcount(one) != (1 << 32) - 1]
shared = ctypes.c_uint64.from_address(immortal.names_of_attributes(Made))
vars(kept)["more"] = Made().more = 1
others = [vars(Made()) for _ in range(3)]
attributes = [sorted(vars(kept)), *map(list, others)]
told = {"shared": shared.value, "attributes": attributes}
print(json.dumps({**told, "marked": marked, "mortal": mortal, "again": immortal.keep_for_ever()}))
"""


@pytest.mark.skipif(_IMAGE.python.name == "python3.11", reason="the sandboxes' Python counts all references")
def test_all_that_can_be_reached_is_immortal_and_what_comes_later_is_not() -> None:
    path = Path(flowray_sandbox.__file__).parent.parent
    done = subprocess.run(
        [_IMAGE.python, "-c", _SEEN], env={"PYTHONPATH": str(path)}, check=True, capture_output=True, text=True
    )

    seen = json.loads(done.stdout)

    assert seen["mortal"] == []
    assert seen["marked"] > 1_000
    assert seen["shared"] == (1 << 32) - 1
    assert seen["attributes"] == [["more", "pairs", "text"], *[["text", "pairs"]] * 3]
    assert seen["again"] < 200
