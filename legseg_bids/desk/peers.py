"""Which user of this machine a connection comes from.

Cookies do not know ports: a browser shows those of 127.0.0.1 to every server there, also to that
of another user. So the system is asked who is at the other end; only the desk's own user, and
root, who can do everything anyway, are let in. The system tells it in ``/proc/net/tcp`` (proc(5):
one line for each socket, addresses in hexadecimal, the user in the eighth column).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
LOCAL, REMOTE, OWNER = 1, 2, 7
ROOT = 0
HOST = "127.0.0.1"


def is_ours(client: tuple[str, int], port: int, tables: Iterable[Path] = TABLES) -> bool:
    """Whether the client's end of a connection to us belongs to our user or to root.

    Where the system has no such tables, everybody who has the token is let in.

    Parameters
    ----------
    client : (str, int)
        Address and port of the other end.
    port : int
        Ours.
    tables : iterable of Path
        Where the system lists its sockets.
    """
    existing = [table for table in tables if table.exists()]
    if not existing:
        return True
    owners = {owner for table in existing for owner in _owners(table, client, port)}
    return bool(owners) and owners <= {ROOT, os.geteuid()}


def _owners(table: Path, client: tuple[str, int], port: int) -> list[int]:
    """Users of the sockets whose own end is `client` and whose other end is our port."""
    own = {_spelt(client[0], client[1]), _spelt(client[0], client[1], mapped=True)}
    other = {_spelt(HOST, port), _spelt(HOST, port, mapped=True)}
    rows = (line.split() for line in table.read_text(encoding="ascii").splitlines()[1:])
    return [int(row[OWNER]) for row in rows if row[LOCAL] in own and row[REMOTE] in other]


def _spelt(address: str, port: int, *, mapped: bool = False) -> str:
    """An IPv4 address and a port as the tables spell them; `mapped` into IPv6.

    Examples
    --------
    >>> import sys
    >>> little = sys.byteorder == "little"
    >>> _spelt("127.0.0.1", 80) == ("0100007F:0050" if little else "7F000001:0050")
    True
    """
    order = "<I" if sys.byteorder == "little" else ">I"
    (number,) = struct.unpack(order, socket.inet_aton(address))
    (ones,) = struct.unpack(order, b"\0\0\xff\xff")
    before = f"{0:08X}{0:08X}{ones:08X}" if mapped else ""
    return f"{before}{number:08X}:{port:04X}"
