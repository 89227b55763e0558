"""Reading what is not theirs, writing where nothing may be written."""

from tests.attacks.attack import attack


@attack()
def host_secrets_are_not_there():
    import os

    wanted = [
        "/etc/shadow",
        "/root",
        "/home",
        "/work",
        "/var/run/secrets",
        "/proc/1/environ",
        "/proc/kcore",
        "/boot",
        "/srv",
    ]
    return next((f"ESCAPED: {path}" for path in wanted if os.access(path, os.R_OK)), "held: none is there")


@attack()
def passwd_is_our_own():
    text = open("/etc/passwd").read()
    return "held: ours" if text.count("\n") <= 4 else f"ESCAPED: {text[:200]}"


@attack()
def no_shell_and_no_tools():
    import os
    import shutil

    found = [
        name for name in ("sh", "bash", "cat", "curl", "gcc", "ldconfig", "python3", "mount") if shutil.which(name)
    ]
    return f"ESCAPED: {found}" if found or os.path.exists("/bin/sh") else "held: no program on the path"


@attack()
def root_is_read_only():
    import sys

    places = ["/x", "/etc/hosts2", "/usr/x", sys.prefix + "/x", "/dev/x", "/opt/x", "/lib/x", "/proc/x"]
    return all_refused([lambda p=p: open(p, "w") for p in places])


@attack()
def packages_cannot_be_changed():
    import lfx

    return refused(lambda: open(lfx.__path__[0] + "/__init__.py", "a"))


@attack()
def our_own_code_cannot_be_changed():
    import flowray_sandbox

    return refused(lambda: open(flowray_sandbox.__path__[0] + "/__init__.py", "a"))


@attack()
def tmp_runs_no_programs():
    import ctypes
    import os
    import shutil
    import sys

    copy = "/tmp/library.so"
    shutil.copy(__import__("_ctypes").__file__ if hasattr(__import__("_ctypes"), "__file__") else sys.executable, copy)
    os.chmod(copy, 0o755)
    return all_refused([lambda: os.execv(copy, [copy]), lambda: ctypes.CDLL(copy)])


@attack()
def disk_fills_only_its_own_cup():
    written = 0
    try:
        with open("/tmp/fill", "wb") as file:
            for _ in range(2048):
                written += file.write(b"x" * (1 << 20))
                file.flush()
    except OSError as error:
        return f"held: after {written >> 20} MiB: {error}"
    return f"ESCAPED: {written >> 20} MiB"


@attack()
def inodes_are_counted():
    count = 0
    try:
        for count in range(200_000):
            open(f"/tmp/n{count}", "w").close()
    except OSError as error:
        return f"held: after {count} files: {error}"
    return f"ESCAPED: {count} files"


@attack()
def shared_memory_is_counted():
    written = 0
    try:
        with open("/dev/shm/fill", "wb") as file:
            for _ in range(1024):
                written += file.write(b"x" * (1 << 20))
                file.flush()
    except OSError as error:
        return f"held: after {written >> 20} MiB: {error}"
    return f"ESCAPED: {written >> 20} MiB"


@attack()
def nothing_of_an_earlier_run_is_left():
    import os

    left = os.listdir("/tmp") + os.listdir("/dev/shm")
    left = [name for name in left if "canary" in name or name.startswith(("fill", "n1", "library"))]
    for folder in ("/tmp", "/dev/shm"):
        with open(folder + "/canary", "w") as file:
            file.write("left behind")
    return f"ESCAPED: {left}" if left else "held: a clean floor"


@attack()
def links_do_not_lead_out():
    import os

    os.symlink("/proc/1/root/etc/shadow", "/tmp/link")
    return all_refused([lambda: open("/tmp/link").read(), lambda: os.link("/etc/passwd", "/tmp/hard")])


@attack()
def dots_do_not_lead_out():
    import os

    root = set(os.listdir("/"))
    up = set(os.listdir("/../../../.."))
    return (
        "held: the root is the root" if up == root and not root & {"root", "home", "work", "boot"} else f"ESCAPED: {up}"
    )


@attack()
def devices_cannot_be_made():
    import os
    import stat

    return all_refused(
        [
            lambda: os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0)),
            lambda: os.mknod("/tmp/mem", 0o600 | stat.S_IFCHR, os.makedev(1, 1)),
        ]
    )


@attack()
def no_setuid_bits():
    import os

    path = "/tmp/s"
    open(path, "w").close()
    try:
        os.chmod(path, 0o6755)
    except OSError as error:
        return f"held: {error}"
    return "held: nosuid" if os.statvfs("/tmp").f_flag & os.ST_NOSUID else "ESCAPED: setuid file on a suid mount"


@attack()
def files_of_other_runs_are_out_of_reach():
    import glob

    found = [path for path in glob.glob("/tmp/**/*", recursive=True) if "neighbour" in path]
    return f"ESCAPED: {found}" if found else "held: only our own files"
