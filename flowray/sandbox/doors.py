"""Listeners inside a sandbox that each lead to one host and port, so that clients which know no proxy reach them.

A name that a policy lists exactly gets an address of the sandbox's own loopback, and a line in its /etc/hosts: whoever
connects there by name and port is accepted by the gate, which knows from the listener where the connection leads. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from flowray.flow.hosts import HostRule, parsed
from flowray.sandbox.policy import Policy, is_address

# Each is a socket inside and a descriptor of the host; a message of the control channel carries no more.
MOST_DOORS = 64
GATE_PORT = 3128
_GATE = "127.0.0.1"
_FIRST = int(IPv4Address("127.0.1.1"))


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where inside one listens (`address` and `port`), and the host that it leads to, at the same port."""

    host: str
    address: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Doors:
    """All doors of one policy. `direct` are the hosts for which a client should ask no proxy."""

    doors: tuple[Door, ...] = ()
    direct: tuple[str, ...] = ()

    @property
    def said(self) -> Mapping[str, Any]:
        """What a sandbox has to know of them."""
        names = {door.host: door.address for door in self.doors if door.host != door.address}
        return {
            "names": names,
            "ports": sorted({GATE_PORT, *(door.port for door in self.doors)}),
            "direct": self.direct,
        }


def doors_of(policy: Policy) -> Doors:
    """Return a door for each exact entry that may be reached; beyond the first 64, the gate's own port remains."""
    rules = [rule for rule in parsed(policy.hosts) if rule.exact]
    addresses: dict[str, str] = {}
    doors: list[Door] = []
    for rule in rules:
        address = addresses.get(rule.host) or _address(rule.host, len(addresses))
        wanted = [Door(host=rule.host, address=address, port=port) for port in sorted(rule.ports)] if address else []
        wanted = [door for door in wanted if door not in doors and _may_be(door, policy)]
        if address is None or not wanted or len(doors) + len(wanted) > MOST_DOORS:
            continue
        addresses[rule.host] = address
        doors += wanted
    reached = {(door.host, door.port) for door in doors}
    through = [rule for rule in rules if all((rule.host, port) in reached for port in rule.ports)]
    return Doors(doors=tuple(doors), direct=tuple(_direct(through, parsed(policy.hosts))))


def _may_be(door: Door, policy: Policy) -> bool:
    return policy.allows(door.host, door.port) and (door.address, door.port) != (_GATE, GATE_PORT)


def _address(host: str, number: int) -> str | None:
    """Return the address of a host's doors: one of our own for a name, its own for one of the loopback."""
    if not is_address(host):
        return str(IPv4Address(_FIRST + number))
    try:
        literal = IPv4Address(host)
    except AddressValueError:
        return None
    # 127.0.1.x are the names'.
    return str(literal) if literal.is_loopback and literal.packed[2] != 1 else None


def _direct(rules: Iterable[HostRule], listed: Sequence[HostRule]) -> Iterable[str]:
    """Yield what NO_PROXY may name: clients take an entry for all names that end with it, so no such one may be listed.

    A port is named where the web's are not meant, and then meant by those clients that can.
    """
    for rule in rules:
        others = [other for other in listed if other.host != rule.host]
        if not any(other.host.endswith(rule.host) or other.covers(rule.host, min(other.ports)) for other in others):
            yield str(rule)
