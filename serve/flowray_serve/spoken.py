"""What a flow says, as one growing text: its tokens, and what its messages add to them. As Langflow decides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowray.engine.events import Event, MessageAdded, Token
from flowray.engine.outcome import Outcome, answering
from flowray.engine.ports import RunRequest

_SENDERS = frozenset({"Machine", "AI", "Agent"})
_NAMES = frozenset({"Agent", "AI"})
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")


class Spoken:
    """Takes a run's events in order, and says what text each adds.

    A chat output tells its first piece twice, as a partial message and as its first token; an answer that was streamed
    comes again as a complete message, sometimes under another id. None of that is said twice.
    """

    def __init__(self, question: str) -> None:
        self.usage: Mapping[str, int] | None = None
        self._question = question
        self._said = ""
        self._streamed: set[str] = set()
        self._ahead: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def add(self, event: Event) -> str:
        """Take one more event; the text that it adds."""
        match event:
            case Token(text=text, message=message):
                return self._token(text, message)
            case MessageAdded(message=message) if isinstance(message, dict):
                return self._message(message)
            case _:
                return ""

    def _token(self, text: str, message: str) -> str:
        self._streamed.add(message)
        ahead = self._ahead.pop(message, "")
        if ahead.startswith(text):
            text, left = "", ahead[len(text) :]
            if left:
                self._ahead[message] = left
        elif text.startswith(ahead):
            text = text[len(ahead) :]
        self._said += text
        return text

    def _message(self, message: Mapping[str, Any]) -> str:
        key, text = _key(message), message.get("text")
        is_complete = _properties(message).get("state") == "complete"
        if is_complete:
            self.usage = usage_of(message) or self.usage
        if not isinstance(text, str) or not self._is_answer(message, text):
            return ""
        if is_complete and (key in self._streamed or self._last.get(key) == text):
            return ""
        self._last[key] = text
        return self._rest(key, text)

    def _is_answer(self, message: Mapping[str, Any], text: str) -> bool:
        return message.get("sender") in _SENDERS and message.get("sender_name") in _NAMES and text != self._question

    def _rest(self, key: str, text: str) -> str:
        if _bare(self._said).endswith(_bare(text)):
            return ""
        if not text.startswith(self._said):
            self._said = text
            return text
        added = text[len(self._said) :]
        self._said = text
        self._ahead[key] = self._ahead.get(key, "") + added
        return added


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool that an agent called, and what came of it."""

    name: str
    input: Any
    output: Any
    error: Any

    @property
    def failed(self) -> bool:
        """A call that was tried again and then went well keeps its old error, so the output decides."""
        return self.output is None and self.error is not None


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a run answered, all at once."""

    text: str
    usage: Mapping[str, int] | None
    calls: tuple[ToolCall, ...]


def said(request: RunRequest, outcome: Outcome) -> Said:
    """What the first chat output that has a text answered."""
    usage: Mapping[str, int] | None = None
    calls: list[ToolCall] = []
    for node in answering(request.flow, output_type="chat"):
        results = (outcome.results.get(node) or {}).get("results") or {}
        messages = [value for value in results.values() if isinstance(value, Mapping)]
        usage = usage or next((found for found in map(usage_of, messages) if found), None)
        calls += [call for message in messages for call in tool_calls(message)]
        texts = (value.get("text") if isinstance(value, Mapping) else value for value in results.values())
        text = next((text for text in texts if isinstance(text, str)), "")
        if text:
            return Said(text=text, usage=usage, calls=tuple(calls))
    return Said(text="", usage=usage, calls=tuple(calls))


def tool_calls(message: Mapping[str, Any]) -> Iterator[ToolCall]:
    """The calls that a message tells of: among its blocks, or in a group of them."""
    for block in _parts(message, "content_blocks"):
        for one in [block] if block.get("type") == "tool_use" else _parts(block, "contents"):
            if one.get("type") == "tool_use":
                yield ToolCall(
                    name=str(one.get("name") or ""),
                    input=one.get("tool_input"),
                    output=one.get("output"),
                    error=one.get("error"),
                )


def usage_of(message: Mapping[str, Any]) -> Mapping[str, int] | None:
    """The tokens that a message says it took."""
    usage = _properties(message).get("usage")
    if not isinstance(usage, Mapping) or not usage:
        return None
    return {name: int(count) if isinstance(count := usage.get(name), int | float) else 0 for name in _COUNTS}


def _properties(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A component may call anything a message: what it has by these names need not be what a message has."""
    found = message.get("properties")
    return found if isinstance(found, Mapping) else {}


def _parts(whole: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = whole.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else ()


def _key(message: Mapping[str, Any]) -> str:
    nested = message.get("data")
    return str(message.get("id") or (nested.get("id") if isinstance(nested, Mapping) else "") or "")


def _bare(text: str) -> str:
    return "".join(text.split())
