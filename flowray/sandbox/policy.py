"""Which hosts a run may reach: nothing, unless it is listed. Pure: names in, decisions out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from flowray.flow.hosts import parsed

# Addresses that stand for an IPv4 address: what they stand for counts.
_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_LOW_32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Policy:
    """The hosts that may be reached, and those of them that an operator lets be on a private network."""

    hosts: tuple[str, ...]
    private: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("hosts", "private"):
            object.__setattr__(self, f"_{name}", parsed(getattr(self, name)))

    def allows(self, host: str, port: int) -> bool:
        """Whether a run may connect to that host and port. An address instead of a name must be an operator's."""
        if not self._covered("_hosts", host, port):
            return False
        return not is_address(host) or self.may_be_private(host, port)

    def why_not(self, host: str, port: int) -> str:
        """Why a run may not connect to that host and port."""
        if self._covered("_hosts", host, port):
            return f"the address {host}:{port} is not in `private_hosts` of this run's pool"
        return f"the host {host}:{port} is not in the egress list of this run"

    def may_be_private(self, host: str, port: int) -> bool:
        """Whether that host may have an address that is not public."""
        return self._covered("_private", host, port)

    def _covered(self, rules: str, host: str, port: int) -> bool:
        return any(rule.covers(host, port) for rule in getattr(self, rules))


def is_address(host: str) -> bool:
    """Whether the host is an address, in any notation that a resolver takes for one: also 2130706433 and 0x7f.1."""
    last = host.rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, and not one that leads back inside by another name."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _embedded(ip)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip.ipv4_mapped or ip.sixtofour:
        return ip.ipv4_mapped or ip.sixtofour
    if any(ip in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(ip) & _LOW_32)
    return None
