"""Which user is at the other end of a connection."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from legseg_bids.desk.peers import HOST, TABLES, is_ours

pytestmark = pytest.mark.skipif(not TABLES[0].exists(), reason="the system lists no sockets")
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


@pytest.fixture
def listener():
    with socket.create_server((HOST, 0)) as made:
        yield made


def test_our_own_connection_is_ours(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with socket.create_connection((HOST, port)) as client:
        assert is_ours(client.getsockname(), port)
        assert not is_ours((HOST, client.getsockname()[1]), port + 1)
    # Nobody is at the other end of a port that is not connected to us.
    assert not is_ours((HOST, port), port)


def test_an_ipv6_socket_of_ours_is_ours(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    try:
        client = socket.socket(socket.AF_INET6)
        client.connect((f"::ffff:{HOST}", port))
    except OSError:
        pytest.skip("no IPv6 here")
    with client:
        assert is_ours((HOST, client.getsockname()[1]), port)


def table(folder: Path, real: Path, port: int, owner: int) -> Path:
    """What the system says of the connections to a port, with another owner."""
    lines = [HEAD]
    for line in real.read_text().splitlines()[1:]:
        row = line.split()
        if row[2].endswith(f":{port:04X}"):
            row[7] = str(owner)
            lines.append(" ".join(row) + "\n")
    path = folder / f"tcp-{owner}"
    path.write_text("".join(lines))
    return path


def test_another_user_is_not(listener: socket.socket, tmp_path: Path) -> None:
    port = listener.getsockname()[1]
    with socket.create_connection((HOST, port)) as client:
        own = client.getsockname()
        stranger = max(os.geteuid(), 1) + 4000
        assert not is_ours(own, port, [table(tmp_path, TABLES[0], port, stranger)])
        assert is_ours(own, port, [table(tmp_path, TABLES[0], port, 0)])  # root
        assert is_ours(own, port, [table(tmp_path, TABLES[0], port, os.geteuid())])


def test_where_the_system_does_not_tell_everybody_is_let_in(tmp_path: Path) -> None:
    assert is_ours((HOST, 5), 6, [tmp_path / "nothing"])
