"""The component index that lfx brings."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from flowray.component.index import find_index, load_index
from flowray.component.source import with_sources
from flowray.errors import FlowFormatError, NotFoundError
from tests.unit.build import flow_of, node


def test_every_component_of_lfx_is_known_by_its_source() -> None:
    specs = load_index(find_index())

    chat = next(spec for spec in specs.values() if spec.name == "ChatInput")
    assert len(specs) == 130
    assert all(digest == spec.digest for digest, spec in specs.items())
    assert chat.digest == hashlib.sha256(chat.frontend["template"]["code"]["value"].encode()).hexdigest()
    assert (chat.origin, [output.name for output in chat.outputs]) == ("lfx", ["message"])
    assert "input_value" in chat.fields


def test_lfx_is_never_imported() -> None:
    code = (
        "import sys; from flowray.component.index import find_index, load_index; load_index(find_index());"
        "sys.exit('lfx' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_index_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"pip install lfx==1\.13\.0"):
        find_index(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"entries": [5]}', '{"entries": [["a", {"X": 5}]]}'])
def test_a_broken_index_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(text)

    with pytest.raises(FlowFormatError, match=r"[Tt]he component index"):
        load_index(path)


def test_a_node_without_source_gets_that_of_its_component() -> None:
    specs = load_index(find_index())
    flow = flow_of(node("a", "ChatInput", code=None), node("b", code=None), node("c", code="x = 3"))

    a, b, c = with_sources(flow, specs.values()).nodes

    assert a.code_digest in specs
    assert a.raw["data"]["node"]["template"]["code"]["value"] == a.code
    assert (b.code, c.code) == (None, "x = 3")
