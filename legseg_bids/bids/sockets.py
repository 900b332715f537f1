"""Sockets between processes, also where the temporary folder has a long name.

Python's ``multiprocessing`` makes a socket file in the temporary folder, and Linux allows 107
bytes for its path: the folder that a cluster gives each job is often too long. The same folder is
then named by a descriptor of this process, which is short.
"""

from __future__ import annotations

import os
import tempfile
from multiprocessing import util

LONGEST = 70
"""What leaves room for the folder and the file that ``multiprocessing`` adds, bytes."""


def make_room_for_sockets() -> None:
    """See to it that processes can be started, however long the name of the folder is.

    To be called before the first process is started; does nothing where the name is short, or
    where processes have no such descriptors.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) <= LONGEST or not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        return
    # Never closed: the sockets are there as long as the process.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    before = tempfile.tempdir
    try:
        tempfile.tempdir = f"/proc/{os.getpid()}/fd/{descriptor}"
        util.get_temp_dir()  # makes the folder once, and remembers it
    finally:
        tempfile.tempdir = before
