"""Values on their way between nodes: small ones travel in the journal, large ones stay where they are behind a Ref.

The trusted side never looks inside: `json` is what the sandbox said, already parsed, and treated as opaque.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowray.flow.types import Json

INLINE_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """A handle to bytes in the object store: `key` below the store's root, `size` in bytes, `sha256` in hex."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One output of one node, as typed JSON or as a Ref to its bytes.

    `type` is one of message, data, dataframe, text, number, boolean, list, object, bytes, none.
    Exactly one of `json` and `ref` is meaningful; with `ref`, the bytes are the JSON text of the value
    (for type bytes and text, the raw bytes).
    """

    type: str
    json: Json = None
    ref: Ref | None = None

    @property
    def is_live(self) -> bool:
        """Whether the journal holds only a stand-in: the thing itself lived and died with its sandbox."""
        return self.type == "object" and type(self.json) is dict and self.json.get("$flowray") == "opaque"
