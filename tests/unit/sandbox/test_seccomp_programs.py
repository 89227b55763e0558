"""The filters as the kernel would run them, for both kinds of machine: interpreted, since one of them is not ours."""

from __future__ import annotations

import ctypes
import errno
import struct
import sys
from collections.abc import Sequence

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="system calls of Linux")

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(program: bytes, machine: int, number: int, arguments: Sequence[int] = ()) -> int:
    """What the kernel's interpreter would answer."""
    call = struct.pack("<IIQ6Q", number, machine, 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6])
    lines = list(struct.iter_unpack("<HBBI", program))
    at = held = 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("<I", call, value)
        elif code == 0x54:
            held &= value
        elif code == 0x06:
            return int(value)
        elif code == 0x05:
            at += value
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += yes if holds else no


def told(machine: str, name: str, *arguments: int, monkeypatch: pytest.MonkeyPatch, child: bool = False) -> int:
    """The verdict on a call by its name: of the list that all inherit, or of a child's own."""
    from flowray_sandbox import seccomp, syscalls
    from flowray_sandbox.syscall_table import numbers

    monkeypatch.setattr(syscalls, "MACHINE", machine)
    program = seccomp.child() if child else seccomp.inherited()
    count, address = struct.unpack("=H6xQ", program.header.raw[:16])
    return verdict(ctypes.string_at(address, 8 * count), MACHINES[machine], numbers(machine)[name], arguments)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["read", "openat", "futex", "mmap", "getrandom", "connect", "rt_sigreturn"])
def test_what_every_program_needs_is_let_through(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(machine, name, monkeypatch=monkeypatch) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["execve", "ptrace", "bpf", "keyctl", "setuid", "open_by_handle_at", "pidfd_getfd"])
def test_what_is_dangerous_is_refused(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(machine, name, monkeypatch=monkeypatch) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["mount", "setns", "unshare", "capset"])
def test_a_child_loses_what_built_its_walls(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(machine, name, monkeypatch=monkeypatch) == ALLOW
    assert told(machine, name, monkeypatch=monkeypatch, child=True) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_decide_about_sockets_and_clones(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    families = {family: told(machine, "socket", family, 1, monkeypatch=monkeypatch) for family in (1, 2, 10, 16, 40)}
    threads, processes = (
        told(machine, "clone", flags, monkeypatch=monkeypatch, child=True) for flags in (0x3D0F00, 0x11)
    )

    refused = ERRNO | errno.EAFNOSUPPORT
    assert families == {1: refused, 2: ALLOW, 10: ALLOW, 16: refused, 40: refused}
    assert (threads, processes) == (ALLOW, ERRNO | errno.EPERM)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_of_the_other_machine_ends_the_process(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowray_sandbox import seccomp, syscalls

    monkeypatch.setattr(syscalls, "MACHINE", machine)
    kept = seccomp.inherited()
    header = kept.header.raw[:16]
    count, address = struct.unpack("=H6xQ", header)
    program = ctypes.string_at(address, 8 * count)

    assert [verdict(program, other, 63) for other in MACHINES.values() if other != MACHINES[machine]] == [KILL]
