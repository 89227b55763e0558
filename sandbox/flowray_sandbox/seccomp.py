"""Which system calls the code inside may make: a list of allowed ones, an error for all others.

An error, never a kill: libraries try calls and fall back. What is unknown gets ENOSYS, as on an older kernel; what is
known to be dangerous gets EPERM.

The list is installed once, in the zygote, and every child inherits it for nothing. It still holds the few calls that
build the walls; the child's own small filter takes those away. A run without egress loses sockets too, by a third.
"""

from __future__ import annotations

import errno

from flowray_sandbox import syscalls
from flowray_sandbox.bpf import ALLOW, Argument, Bits, Program, Rule, Verdict, assemble
from flowray_sandbox.syscall_table import numbers

_DENIED = Verdict(errno.EPERM)
_UNKNOWN = Verdict(errno.ENOSYS)
_PRETENDED = Verdict(0)

_FILES = """
    read write close fstat lseek pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 dup dup2 dup3 sendfile
    flock fsync fdatasync sync truncate ftruncate fallocate getcwd chdir fchdir umask statfs fstatfs getdents getdents64
    open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 mkdir mkdirat rmdir rename
    renameat renameat2 link linkat unlink unlinkat symlink symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2
    chown fchown lchown fchownat utime utimes utimensat futimesat fadvise64 copy_file_range pipe pipe2 close_range
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
"""
_MEMORY = "mmap mprotect munmap mremap msync mincore brk mlock mlock2 munlock membarrier"
_EVENTS = """
    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
    timerfd_create timerfd_settime timerfd_gettime timer_create timer_settime timer_gettime timer_getoverrun
    timer_delete getitimer setitimer alarm pause nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time
    times
"""
_PROCESS = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack
    kill tkill tgkill exit exit_group wait4 waitid getpid gettid getppid getpgid getpgrp setpgid getsid setsid getuid
    geteuid getgid getegid getresuid getresgid getgroups capget uname sysinfo getrusage getrlimit prlimit64 getpriority
    setpriority sched_yield sched_setaffinity sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max
    sched_get_priority_min sched_rr_get_interval getcpu futex set_robust_list get_robust_list set_tid_address rseq
    restart_syscall arch_prctl getrandom landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
"""
_SOCKETS = """
    connect accept accept4 bind listen sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockname
    getpeername getsockopt
"""
# What builds the walls: inherited with the zygote's filter, taken away by the child's.
_BUILDING = "mount setns unshare capset pidfd_open"
_DANGEROUS = """
    execve execveat fork vfork ptrace process_vm_readv process_vm_writev bpf perf_event_open keyctl add_key request_key
    pidfd_getfd pidfd_send_signal kcmp umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick
    mount_setattr name_to_handle_at open_by_handle_at userfaultfd init_module finit_module delete_module kexec_load
    kexec_file_load reboot swapon swapoff setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid
    setfsgid sethostname setdomainname personality mknod mknodat settimeofday clock_settime syslog quotactl iopl ioperm
"""

_CLONE_THREAD = 0x00010000
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_STREAM, _DATAGRAM, _TYPE = 1, 2, 0xF
_SOL_SOCKET = 1
# Sizes of send and receive buffers: kernel memory that no limit of a process counts.
_BUFFER_OPTIONS = (7, 8, 32, 33)
_F_SETLEASE, _F_NOTIFY, _F_SETPIPE_SZ = 1024, 1026, 1031
_MADV_MERGEABLE, _MADV_HWPOISON, _MADV_SOFT_OFFLINE = 12, 100, 101
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOASYNC, FIONCLEX, FIOCLEX; then the zygote's own, which take a capability.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5452, 0x5450, 0x5451, 0x8914, 0x894C)
# Death signal, dumpable, seccomp, name, bounding set, timer slack, securebits, no-new-privs, huge pages, names of
# areas.
_PRCTLS = (1, 2, 3, 4, 15, 16, 21, 23, 28, 29, 30, 38, 39, 41, 42, 0x53564D41)


def inherited() -> Program:
    """The list itself, for the zygote and all that it forks."""
    rules: dict[str, Rule] = dict.fromkeys(_DANGEROUS.split(), _DENIED)
    for group in (_FILES, _MEMORY, _EVENTS, _PROCESS, _SOCKETS, _BUILDING):
        rules |= dict.fromkeys(group.split(), ALLOW)
    refused_family = Verdict(errno.EAFNOSUPPORT)
    kind = Argument(1, (_STREAM, _DATAGRAM), ALLOW, refused_family, mask=_TYPE)
    rules |= {
        # AF_VSOCK is not confined by network namespaces; AF_UNIX, AF_NETLINK and the rest have no use inside.
        "socket": Argument(0, (_AF_INET, _AF_INET6), kind, refused_family),
        "socketpair": Argument(0, (_AF_UNIX,), ALLOW, refused_family),
        "setsockopt": Argument(1, (_SOL_SOCKET,), Argument(2, _BUFFER_OPTIONS, _PRETENDED, ALLOW), ALLOW),
        "fcntl": Argument(1, (_F_SETLEASE, _F_NOTIFY, _F_SETPIPE_SZ), _DENIED, ALLOW),
        "madvise": Argument(2, (_MADV_MERGEABLE, _MADV_HWPOISON, _MADV_SOFT_OFFLINE), Verdict(errno.EINVAL), ALLOW),
        "ioctl": Argument(1, _IOCTLS, ALLOW, Verdict(errno.ENOTTY)),
        "prctl": Argument(0, _PRCTLS, ALLOW, Verdict(errno.EINVAL)),
        "clone": ALLOW,
    }
    return _program(rules, _UNKNOWN)


def child() -> Program:
    """What a child loses when its walls stand: the calls that built them, and any new process. Threads stay."""
    rules: dict[str, Rule] = dict.fromkeys(_BUILDING.split(), _DENIED)
    rules["clone"] = Bits(0, _CLONE_THREAD, ALLOW, _DENIED)
    return _program(rules, ALLOW)


def offline() -> Program:
    """What a run without egress loses: sockets, so that its network stays as new."""
    return _program({"socket": Verdict(errno.EACCES)}, ALLOW)


def install(program: Program) -> None:
    """Hold the calling process, and all that it forks, to this program."""
    syscalls.seccomp_filter(program.header)


def _program(rules: dict[str, Rule], default: Rule) -> Program:
    known = numbers(syscalls.MACHINE)
    return Program(
        assemble(syscalls.MACHINE, {known[name]: rule for name, rule in rules.items() if name in known}, default)
    )
