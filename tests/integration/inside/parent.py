"""A zygote without walls, for the environment image's Python: forks one child for each channel it is handed."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from pathlib import Path


def main(control: int, folder: Path) -> None:
    """Warm up, say so, and fork until the tests are done."""
    from flowray_sandbox import preload

    preload.warm()
    from flowray_sandbox import work

    preload.gather()
    preload.rehearse()

    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    orders = socket.socket(fileno=control)
    orders.send(b"ready")
    number = 0
    while True:
        word, handed, _, _ = socket.recv_fds(orders, 1, 1)
        if not word:
            return
        number += 1
        if os.fork() == 0:
            home = folder / str(number)
            home.mkdir()
            os.chdir(home)
            work.serve(handed[0])
        os.close(handed[0])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
