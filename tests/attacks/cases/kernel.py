"""System calls that nobody's flow needs."""

from tests.attacks.attack import attack


@attack()
def no_bpf_no_perf_no_uring():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    block = ctypes.create_string_buffer(256)
    names = "bpf perf_event_open io_uring_setup userfaultfd"
    got = {number: libc.syscall(number, 0, block, 128, 0, 0, 0) for number in numbers(names)}
    return "held" if all(each == -1 for each in got.values()) else f"ESCAPED: {got}"


@attack(needs="seccomp")
def no_keyrings():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    got = [
        libc.syscall(NUMBERS["add_key"], b"user", b"a", b"b", 1, -3),
        libc.syscall(NUMBERS["keyctl"], 0, -3, 1),
        libc.syscall(NUMBERS["request_key"], b"user", b"a", 0, -3),
    ]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack()
def no_foreign_calls():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    x32 = 0x40000000
    got = [libc.syscall(x32 + number, 0, 0, 0) for number in (39, 57, 59)]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack()
def no_modules_no_reboot_no_clock():
    import ctypes
    import time

    libc = ctypes.CDLL(None, use_errno=True)
    names = "init_module delete_module finit_module reboot kexec_load swapon swapoff mount ioperm"
    got = [libc.syscall(number, 0, 0, 0, 0) for number in numbers(names)]
    said = refused(lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
    return said if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack()
def no_handles():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    block = ctypes.create_string_buffer(256)
    got = [
        libc.syscall(NUMBERS["name_to_handle_at"], -100, b"/", block, block, 0),
        libc.syscall(NUMBERS["open_by_handle_at"], -100, block, 0),
    ]
    return "held" if got[1] == -1 else f"ESCAPED: {got}"


@attack(needs="seccomp")
def no_userfaultfd_no_pidfd_no_kcmp():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    names = "userfaultfd pidfd_open pidfd_getfd kcmp"
    got = {number: libc.syscall(number, 1, 0, 0, 0, 0) for number in numbers(names)}
    return "held" if all(each == -1 for each in got.values()) else f"ESCAPED: {got}"


@attack(needs="seccomp")
def no_watching_of_files():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    got = [libc.inotify_init(), libc.syscall(NUMBERS["fanotify_init"], 0, 0)]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack(needs="seccomp")
def no_queues_of_the_kernel():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    names = "shmget semget msgget mq_open"
    got = {number: libc.syscall(number, 0, 1024, 0o1600, 0) for number in numbers(names)}
    return "held" if all(each == -1 for each in got.values()) else f"ESCAPED: {got}"


@attack()
def no_terminal_injection():
    import fcntl

    return all_refused(
        [
            lambda: fcntl.ioctl(0, 0x5412, b"x"),
            lambda: fcntl.ioctl(1, 0x541D),
            lambda: fcntl.ioctl(3, 0x89F0, b"x" * 40),
        ]
    )


@attack()
def kernel_files_are_not_there():
    import os

    wanted = [
        "/sys/kernel",
        "/sys/fs/cgroup",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/keys",
        "/dev/mem",
        "/dev/kvm",
        "/dev/fuse",
    ]
    return all_refused([lambda p=p: os.open(p, os.O_RDONLY) for p in wanted])


@attack()
def filters_cannot_be_taken_off():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    got = [
        libc.prctl(22, 0, 0, 0, 0),
        libc.prctl(38, 0, 0, 0, 0),
        libc.prctl(28, 0, 0, 0, 0),
    ]
    return "held" if all(each == -1 for each in got) else f"ESCAPED: {got}"


@attack(needs="seccomp")
def personality_stays():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    return "held" if libc.personality(0x0040000) == -1 else "ESCAPED: no address randomisation"
