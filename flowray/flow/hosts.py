"""Lists of hosts: what one entry means, what two lists have in common, and the list that a flow carries with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flowray.errors import FlowFormatError, InvalidRequestError
from flowray.flow.shape import an_object, some_texts
from flowray.flow.types import Flow, Json

WEB = frozenset({80, 443})
KEY = "flowray"
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\Z")
_IN_URL = re.compile(r"[a-z0-9+.-]+://(?:[^/?#@]*@)?([^/?#]+)")
_MOST_CHARACTERS = 253
_MOST_ENTRIES = 256


@dataclass(frozen=True)
class HostRule:
    """One entry of a list: `name`, `*.name` or `name:port`. Without a port it means those of the web."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, entry: str) -> HostRule:
        """Read an entry, or say what is wrong with it."""
        if url := _IN_URL.match(entry.strip().lower()):
            raise InvalidRequestError(f"`{entry[:80]}` is a URL: give the host alone, {url[1][:80]}.")
        host, _, port = entry.strip().lower().partition(":")
        if len(host) > _MOST_CHARACTERS or not _HOST.match(host):
            raise InvalidRequestError(
                f"`{entry[:80]}` is not a host that can be allowed. Write HOST, *.HOST or HOST:PORT."
            )
        if ":" not in entry:
            return cls(host)
        if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 1 << 16:
            raise InvalidRequestError(f"`{entry[:80]}` names no port between 1 and 65535.")
        return cls(host, int(port))

    @property
    def ports(self) -> frozenset[int]:
        """The ports it means."""
        return WEB if self.port is None else frozenset({self.port})

    @property
    def exact(self) -> bool:
        """Whether it means one name."""
        return not self.host.startswith("*.")

    def covers(self, host: str, port: int) -> bool:
        """Whether this entry means that host and port."""
        return port in self.ports and self._means(host)

    def both(self, other: HostRule) -> tuple[HostRule, ...]:
        """What this entry and another one both mean."""
        if self._means(other.host):
            host = other.host
        elif other._means(self.host):
            host = self.host
        else:
            return ()
        ports = self.ports & other.ports
        return (HostRule(host),) if ports == WEB else tuple(HostRule(host, port) for port in sorted(ports))

    def _means(self, host: str) -> bool:
        if self.exact:
            return host == self.host
        return host == self.host or (host.endswith(self.host[1:]) and len(host) >= len(self.host))

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def parsed(entries: Iterable[str]) -> tuple[HostRule, ...]:
    """Read a list."""
    return tuple(HostRule.parse(entry) for entry in entries)


def common(first: Iterable[str], *lists: Iterable[str] | None) -> tuple[str, ...]:
    """What all lists mean, as a list; None stands for one that has not been written and so takes nothing away."""
    rules = parsed(first)
    for entries in lists:
        if entries is not None:
            others = parsed(entries)
            rules = tuple(dict.fromkeys(both for rule in rules for other in others for both in rule.both(other)))
    return tuple(map(str, rules))


def own_words(flow: Flow) -> Json:
    """Return what a flow's document says to FlowRay, in `data.flowray`; None for nothing."""
    graph = flow.raw.get("data") if "data" in flow.raw else flow.raw
    return graph.get(KEY) if isinstance(graph, dict) else None


def hosts_of(flow: Flow) -> tuple[str, ...] | None:
    """Return the hosts that a flow says it needs, in `data.flowray.egress`; None when it says nothing.

    `FlowFormatError` when what it says cannot be read.
    """
    own = own_words(flow)
    listed = None if own is None else an_object(own, "The document", "data", KEY).get("egress")
    if listed is None:
        return None
    entries = some_texts(listed, "The document", "data", KEY, "egress")
    if len(entries) > _MOST_ENTRIES:
        raise FlowFormatError(f"The document, `data.{KEY}.egress`: at most {_MOST_ENTRIES} hosts.")
    try:
        return tuple(map(str, parsed(entries)))
    except InvalidRequestError as cause:
        raise FlowFormatError(f"The document, `data.{KEY}.egress`: {cause.message}") from cause
