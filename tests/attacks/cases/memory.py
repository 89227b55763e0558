"""Memory, descriptors, kernel buffers."""

from tests.attacks.attack import attack


@attack("memory", "crashed", "component")
def a_memory_bomb_is_stopped():
    hoard = []
    for _ in range(4096):
        hoard.append(bytearray(1 << 20))
    return f"ESCAPED: {len(hoard)} MiB"


@attack()
def one_giant_block_is_refused():
    return refused(lambda: len(bytearray(8 << 30)))


@attack(needs="seccomp")
def no_memory_files():
    import os

    return refused(lambda: os.memfd_create("x"))


@attack()
def shared_maps_are_bounded():
    import mmap

    return refused(lambda: [mmap.mmap(-1, 1 << 30) for _ in range(64)])


@attack()
def descriptors_are_bounded():
    files = []
    try:
        for _ in range(100_000):
            files.append(open("/dev/null"))
    except OSError as error:
        return f"held: after {len(files)}: {error}"
    return f"ESCAPED: {len(files)}"


@attack()
def no_descriptor_was_left_open():
    import os
    import stat

    strange = []
    for number in range(4, 1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            strange.append(number)
    return f"ESCAPED: {strange}" if strange else "held"


@attack(needs="seccomp")
def pipes_do_not_hold_memory():
    import fcntl
    import os

    held = 0
    try:
        for _ in range(4000):
            reading, writing = os.pipe()
            try:
                fcntl.fcntl(writing, 1031, 1 << 20)
            except OSError:
                pass
            os.set_blocking(writing, False)
            held += os.write(writing, b"x" * (1 << 20))
    except OSError as error:
        return f"held: {held >> 20} MiB: {error}" if held < (64 << 20) else f"ESCAPED: {held >> 20} MiB"
    return f"ESCAPED: {held >> 20} MiB"


@attack(needs="seccomp")
def socket_buffers_do_not_grow():
    import socket

    held = 0
    pairs = []
    try:
        for _ in range(400):
            one, other = socket.socketpair()
            pairs.append((one, other))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 20)
            one.setblocking(False)
            while True:
                try:
                    held += one.send(b"x" * 65536)
                except BlockingIOError:
                    break
    except OSError:
        pass
    return f"held: {held >> 20} MiB" if held < (128 << 20) else f"ESCAPED: {held >> 20} MiB"


@attack("memory", "crashed", "component")
def a_zip_bomb_is_stopped():
    import zlib

    bomb = zlib.compress(b"\0" * (64 << 20))
    return f"ESCAPED: {sum(len(zlib.decompress(bomb)) for _ in range(1)) and len([zlib.decompress(bomb) for _ in range(64)])}"


@attack()
def random_numbers_are_not_shared():
    import random
    import ssl
    import uuid

    import numpy

    return f"held: {ssl.RAND_bytes(8).hex()} {random.random()} {numpy.random.random()} {uuid.uuid4()}"
