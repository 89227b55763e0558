"""The processes of a service, as the kernel tells them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def descendants(root: int) -> dict[int, str]:
    """The command lines of a process and all below it, by process id."""
    found = {root: _command(root)}
    parents = dict(_parents())
    grown = True
    while grown:
        below = {pid: _command(pid) for pid, parent in parents.items() if parent in found and pid not in found}
        found |= below
        grown = bool(below)
    return found


def named(root: int, word: str) -> list[int]:
    """The processes at and below `root` whose command line has this word."""
    return [pid for pid, command in descendants(root).items() if word in command]


def in_folder(folder: Path) -> dict[int, str]:
    """The processes that run in a folder."""
    return {pid: _command(pid) for pid in _pids() if _cwd(pid) == folder}


def listening_beyond_loopback(pids: set[int]) -> list[str]:
    """The addresses, other than loopback's, that these processes listen on."""
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    lines = [line.split() for table in ("tcp", "tcp6") for line in (_PROC / "net" / table).read_text().splitlines()[1:]]
    addresses = [words[1] for words in lines if words[3] == _LISTENING and words[9] in inodes]
    return [address for address in addresses if not _is_loopback(address)]


def _is_loopback(address: str) -> bool:
    """Whether an address as /proc/net writes it, in words of the machine's byte order, is loopback's."""
    raw = bytes.fromhex(address.partition(":")[0])
    found = ipaddress.ip_address(b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _pids() -> Iterator[int]:
    return (int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit())


def _parents() -> Iterator[tuple[int, int]]:
    for pid in _pids():
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            yield pid, int(parent)


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def _cwd(pid: int) -> Path | None:
    try:
        return (_PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None


def _sockets(pid: int) -> Iterator[str]:
    try:
        links = [str(link.readlink()) for link in (_PROC / str(pid) / "fd").iterdir()]
    except OSError:
        return
    for link in links:
        if link.startswith("socket:["):
            yield link.removeprefix("socket:[").removesuffix("]")
