"""Processes, signals, namespaces, privileges."""

from tests.attacks.attack import attack


@attack(needs="seccomp")
def no_fork():
    import os

    return refused(os.fork)


@attack(needs="seccomp")
def no_fork_by_system_call():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    made = [libc.syscall(number, 17, 0, 0, 0, 0) for number in numbers("fork vfork clone")]
    return "held: all answered -1" if all(each == -1 for each in made) else f"ESCAPED: {made}"


@attack()
def no_program_can_be_started():
    import os
    import subprocess
    import sys

    return all_refused(
        [
            lambda: subprocess.run([sys.executable, "-c", "print(1)"], check=True),
            lambda: subprocess.run("id", shell=True, check=True),
            lambda: os.posix_spawn("/bin/sh", ["sh"], {}),
            lambda: os.execv(sys.executable, ["python"]),
        ]
    )


@attack()
def a_fork_bomb_stays_small():
    import os

    made = 0
    try:
        for _ in range(2000):
            if os.fork() == 0:
                import time

                time.sleep(30)
                os._exit(0)
            made += 1
    except OSError as error:
        return f"held: after {made}: {error}"
    return f"ESCAPED: {made} processes"


@attack()
def a_thread_bomb_stays_small():
    import threading

    stop = threading.Event()
    made = 0
    try:
        for _ in range(5000):
            threading.Thread(target=stop.wait, daemon=True).start()
            made += 1
    except RuntimeError as error:
        stop.set()
        return f"held: after {made}: {error}"
    return f"ESCAPED: {made} threads"


@attack()
def nobody_else_can_be_killed():
    import os
    import signal
    import threading

    ourselves = {thread.native_id for thread in threading.enumerate()}
    killed = []
    for pid in set(range(2, 5000)) - ourselves:
        try:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        except OSError:
            pass
    return f"ESCAPED: {killed}" if killed else "held: nobody there"


@attack("crashed", "protocol", "component")
def killing_everybody_kills_only_itself():
    import os
    import signal

    os.kill(-1, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(9)


@attack()
def no_other_process_is_seen():
    import os

    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError as error:
        return f"held: no /proc: {error}"
    return f"ESCAPED: {pids}" if len(pids) > 2 else f"held: {len(pids)}"


@attack()
def no_environment_of_others():
    import glob
    import os

    for path in glob.glob("/proc/*/environ"):
        try:
            text = open(path, "rb").read()
        except OSError:
            continue
        if b"REDIS" in text or b"RAY_" in text or b"AWS_" in text:
            return f"ESCAPED: {path}"
    return (
        "held"
        if not any(name.startswith(("RAY_", "AWS_", "FLOWRAY_REDIS")) for name in os.environ)
        else "ESCAPED: own environment"
    )


@attack(needs="seccomp")
def no_tracing():
    import ctypes
    import os

    libc = ctypes.CDLL(None, use_errno=True)
    got = [libc.ptrace(16, pid, 0, 0) for pid in range(1, 20) if pid != os.getpid()] + [libc.ptrace(0, 0, 0, 0)]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack(needs="seccomp")
def no_memory_of_others():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(64)

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here = Vector(ctypes.addressof(buffer), 64)
    got = [libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(here), 1, 0) for pid in (1, 2, 3)]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack()
def no_privileges():
    import os

    return all_refused(
        [lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.chown("/tmp", 0, 0), lambda: os.chroot("/tmp")]
    )


@attack()
def no_capabilities_left():
    try:
        text = open("/proc/self/status").read()
    except OSError as error:
        return f"held: no /proc: {error}"
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Cap")}
    return "held: all empty" if not any(sets.values()) else f"ESCAPED: {sets}"


@attack()
def no_new_namespaces():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    got = [libc.unshare(flag) for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000)]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack()
def no_mounts():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    got = [
        libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
        libc.mount(b"/", b"/tmp", None, 4096, None),
        libc.umount2(b"/tmp", 2),
        libc.syscall(NUMBERS["pivot_root"], b"/tmp", b"/tmp"),
        libc.syscall(NUMBERS["open_tree"], -100, b"/", 1),
        libc.syscall(NUMBERS["fsopen"], b"tmpfs", 0),
    ]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack()
def limits_cannot_be_raised():
    import resource

    names = (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)
    highest = {name: resource.getrlimit(name)[1] for name in names}
    if resource.RLIM_INFINITY in highest.values():
        return f"ESCAPED: no limit: {highest}"
    return all_refused([lambda n=n: resource.setrlimit(n, (highest[n] + 1, highest[n] + 1)) for n in names])


@attack("crashed", "protocol")
def exit_is_reported():
    import os

    os._exit(7)


@attack("crashed", "protocol")
def a_segfault_is_reported():
    import ctypes

    ctypes.string_at(0)


@attack("crashed", "protocol")
def an_abort_is_reported():
    import os

    os.abort()


@attack("timeout")
def an_endless_loop_is_ended():
    while True:
        pass


@attack("timeout")
def an_endless_loop_in_c_is_ended():
    return str(9**9**9)


@attack("timeout", "crashed")
def stopping_itself_is_ended():
    import os
    import signal
    import time

    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


@attack("timeout")
def ignoring_signals_is_ended():
    import contextlib
    import signal
    import time

    for number in range(1, 65):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(1)


@attack("timeout", "crashed", "component", "memory")
def recursion_in_c_is_ended():
    import sys

    sys.setrecursionlimit(10**9)

    def deeper(level):
        return deeper(level + 1) + 1

    return str(deeper(0))


@attack()
def no_daemon_outlives_the_run():
    import threading
    import time

    def work():
        while True:
            time.sleep(0.1)

    threading.Thread(target=work, daemon=False).start()
    return "held: the run ends all the same"
