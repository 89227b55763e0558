import asyncio
import os
import platform
from pathlib import Path

import pytest

from tests.attacks.numbers import NUMBERS
from tests.integration.sandbox.conftest import Inside

REFUSED = {"PermissionError", "FileNotFoundError", "OSError"}


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/root", "/work", "/home", "/proc/self/environ", "/sys/kernel", "/run"]
)
async def test_files_of_the_host_are_not_there(inside: Inside, path: str) -> None:
    answer = await inside.run(
        f"import os; result = open({path!r}) if not os.path.isdir({path!r}) else os.listdir({path!r})"
    )

    assert answer.error_type in REFUSED


@pytest.mark.parametrize("path", ["/bin/sh", "/usr/bin/env", "/bin", "/usr/bin"])
async def test_there_is_no_program_to_start(inside: Inside, path: str) -> None:
    answer = await inside.run(f"import os; result = os.path.exists({path!r})")

    assert answer.result is False


async def test_nothing_of_the_host_s_environment_comes_in(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")

    answer = await inside.run("import os; result = dict(os.environ)")

    assert set(answer.result) == {"HOME", "LANG", "SSL_CERT_FILE"}


async def test_only_the_channel_and_the_standard_descriptors_are_open(inside: Inside) -> None:
    answer = await inside.run(
        "import os, fcntl\n"
        "result = []\n"
        "for descriptor in range(4096):\n"
        "    try: fcntl.fcntl(descriptor, fcntl.F_GETFD)\n"
        "    except OSError: continue\n"
        "    result.append(descriptor)\n"
    )

    assert answer.result == [0, 1, 2, 3]


async def test_a_child_sees_no_process_but_itself(inside: Inside) -> None:
    answer = await inside.run("import os; os.kill(-1, 0); result = os.getpid()")

    assert answer.said.get("result") == 1 or answer.error_type in REFUSED | {"ProcessLookupError"}


async def test_a_signal_to_its_process_group_reaches_no_other(inside: Inside) -> None:
    neighbour = await inside.zygote.spawn()

    await inside.run("import os, signal; os.kill(0, signal.SIGKILL); os.killpg(0, signal.SIGKILL)")

    assert neighbour.alive
    assert (await inside.use(neighbour, "result = 1")).result == 1


async def test_children_are_of_one_session_where_niceness_counts_between_them(inside: Inside) -> None:
    children = [await inside.zygote.spawn() for _ in range(2)]

    sessions = {os.getsid(child.pid) for child in children}
    groups = {os.getpgid(child.pid) for child in children}

    for child in children:
        child.close()
    assert (len(sessions), len(groups)) == (1, 2)


async def test_the_root_is_read_only(inside: Inside) -> None:
    answer = await inside.run(
        "result = []\n"
        "for folder in ('/', '/etc', '/dev', '/packages', '/flowray/flowray_sandbox', '/python/lib'):\n"
        "    try: open(folder + '/x', 'w')\n"
        "    except OSError: result.append(folder)\n"
    )

    assert len(answer.result) == 6


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
async def test_what_one_child_writes_no_other_sees(inside: Inside, folder: str) -> None:
    written = await inside.run(f"open('{folder}/left', 'w').write('behind'); result = open('{folder}/left').read()")

    found = await inside.run(f"import os; result = os.listdir('{folder}')")

    assert (written.result, found.result) == ("behind", [])
    assert not Path("/tmp/left").exists()


async def test_the_private_folder_is_bounded_and_runs_nothing(inside: Inside) -> None:
    full = await inside.run("f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))", limits={"file_mib": 1000})
    many = await inside.run("for n in range(10_000): open(f'{n}', 'w').close()")
    program = await inside.run(
        "import mmap\nf = open('x', 'wb+'); f.truncate(4096)\nmmap.mmap(f.fileno(), 4096, prot=5)"
    )

    assert (full.error_type, many.error_type, program.error_type) == ("OSError", "OSError", "PermissionError")


NEW_PROCESSES = {
    "os.fork": "import os; os.fork()",
    "subprocess": "import subprocess; subprocess.run(['/python/bin/python3', '-c', ''])",
    "exec": "import os; os.execv('/python/bin/python3', ['python3', '-c', ''])",
    "posix_spawn": "import os; os.posix_spawn('/python/bin/python3', ['python3'], {})",
}
NEW_PROCESSES |= {
    name: f"import ctypes; assert ctypes.CDLL(None).syscall({NUMBERS[name]}, 17, 0, 0, 0, 0) >= 0"
    for name in ("clone", "vfork")
    if name in NUMBERS
}


@pytest.mark.parametrize("way", NEW_PROCESSES)
async def test_no_new_process_can_be_made(inside: Inside, way: str) -> None:
    answer = await inside.run(NEW_PROCESSES[way])

    assert answer.error_type in {"PermissionError", "AssertionError", "OSError"}


# What is passed to calls that nobody may make.
ARGUMENTS = {
    "unshare": (0x10000000,),
    "setns": (3, 0),
    "mount": (0, 0, 0, 0, 0),
    "umount2": (0, 0),
    "pivot_root": (0, 0),
    "ptrace": (0, 1, 0, 0),
    "process_vm_readv": (1, 0, 0, 0, 0, 0),
    "bpf": (0, 0, 0),
    "perf_event_open": (0, 0, 0, 0, 0),
    "io_uring_setup": (1, 0),
    "userfaultfd": (0,),
    "keyctl": (0, 0),
    "add_key": (0, 0, 0, 0, 0),
    "memfd_create": (0, 0),
    "pidfd_open": (1, 0),
    "pidfd_getfd": (3, 0, 0),
    "kcmp": (1, 1, 0, 0, 0),
    "init_module": (0, 0, 0),
    "kexec_load": (0, 0, 0, 0),
    "reboot": (0, 0, 0),
    "setuid": (0,),
    "chroot": (0,),
    "personality": (0,),
    "shmget": (0, 4096, 0o1600),
    "msgget": (0, 0o1600),
    "mq_open": (0, 0, 0, 0),
    "inotify_init1": (0,),
    "fanotify_init": (0, 0),
    "splice": (0, 0, 0, 0, 0, 0),
    "vmsplice": (0, 0, 0, 0),
    "open_by_handle_at": (0, 0, 0),
    "clone3": (0, 0),
}
FORBIDDEN = {name: (NUMBERS[name], *arguments) for name, arguments in ARGUMENTS.items()}
FORBIDDEN["x32 getpid"] = (0x40000000 + 39,)


async def test_calls_that_reach_beyond_are_refused(inside: Inside) -> None:
    answer = await inside.run(
        "import ctypes, errno\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "result = {}\n"
        "for name, call in spec['calls'].items():\n"
        "    done = libc.syscall(*call)\n"
        "    result[name] = errno.errorcode[ctypes.get_errno()] if done < 0 else done\n",
        calls=FORBIDDEN,
    )

    assert {name: told for name, told in answer.result.items() if told not in {"EPERM", "ENOSYS"}} == {}


@pytest.mark.parametrize("family", [1, 16, 17, 38, 40])
async def test_sockets_of_other_families_cannot_be_made(inside: Inside, family: int) -> None:
    answer = await inside.run(f"import socket; socket.socket({family}, socket.SOCK_STREAM)", egress=["example.org"])

    assert answer.error_type == "OSError"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the processor has no other kind of call")
async def test_a_call_of_another_machine_ends_the_child(inside: Inside) -> None:
    answer = await inside.run(
        "import ctypes, mmap\n"
        "code = mmap.mmap(-1, 4096, prot=7)\n"
        "code.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20; int 0x80; ret\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()\n"
    )

    assert answer.exit.signal == 31


async def test_no_power_is_left_and_none_can_be_had(inside: Inside) -> None:
    answer = await inside.run(
        "import ctypes, struct\n"
        "libc = ctypes.CDLL(None)\n"
        "held = ctypes.create_string_buffer(24)\n"
        "libc.capget(struct.pack('=Ii', 0x20080522, 0), held)\n"
        "result = held.raw.hex(), libc.prctl(39, 0, 0, 0, 0), libc.prctl(3, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0)\n"
    )

    capabilities, no_new_privileges, dumpable, seccomp = answer.result
    assert (int(capabilities, 16), no_new_privileges, dumpable, seccomp) == (0, 1, 0, 2)


async def test_random_numbers_differ_from_child_to_child(inside: Inside) -> None:
    code = (
        "import random, ssl, uuid, tempfile, os, numpy\n"
        "result = [random.random(), numpy.random.rand(), ssl.RAND_bytes(8).hex(), str(uuid.uuid4())]\n"
    )

    answers = await asyncio.gather(*(inside.run(code) for _ in range(4)))

    for drawn in zip(*(answer.result for answer in answers), strict=True):
        assert len(set(drawn)) == 4


async def test_the_host_s_own_uid_is_not_the_child_s(inside: Inside) -> None:
    child = await inside.zygote.spawn()

    owner = Path(f"/proc/{child.pid}").stat().st_uid if os.geteuid() else _uid_of(child.pid)

    child.close()
    await child.wait()
    assert owner != 0


def _uid_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))
