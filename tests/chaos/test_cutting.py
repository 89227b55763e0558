"""Connections are cut from outside, those that are meant and no others."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.chaos.cutting import cut, goes_through, leads_to


def test_a_connection_to_a_port_is_cut_and_others_are_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as here, socket.create_server(("127.0.0.1", 0)) as there:
        port = here.getsockname()[1]
        with (
            socket.create_connection(here.getsockname()) as meant,
            socket.create_connection(there.getsockname()) as other,
        ):
            assert cut(os.getpid(), leads_to(port)) == 1
            assert meant.recv(1) == b""
            other.sendall(b"still there")


def test_a_connection_through_a_socket_file_is_cut(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        listener.bind(str(tmp_path / "lane"))
        listener.listen()
        caller.connect(str(tmp_path / "lane"))
        assert cut(os.getpid(), goes_through(tmp_path / "elsewhere")) == 0
        assert cut(os.getpid(), goes_through(tmp_path)) == 1
        assert caller.recv(1) == b""
