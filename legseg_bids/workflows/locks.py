"""Who works on which participant: so that two runs on one output never do the same work.

Each participant has a lock file, ``logs/sub-<label>/.lock``, held (``flock``) while a run works
on it. The kernel releases it when the process ends, however it ends; a file that is left behind
by ``kill -9`` locks nobody out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from legseg_bids.bids.names import log_dir
from legseg_bids.bids.write import cannot_write

LOCK = ".lock"
#: What a file system says that has no locks (some network and FUSE file systems).
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
#: Open files that the rest of a run needs: images, pipes to workers, the system's own.
OTHER_FILES = 200


class Claims(NamedTuple):
    """Participants of this run, and those that another run is at work on.

    Attributes
    ----------
    mine : frozenset of str
        Labels that nobody else works on until the claim ends.
    busy : dict of str to str
        Label to who works on it: process, machine, since when.
    """

    mine: frozenset[str]
    busy: dict[str, str]


@contextmanager
def claim(
    output_dir: Path, subjects: Iterable[str], note: Callable[[str], None] = print
) -> Iterator[Claims]:
    """Claim participants for as long as the block runs; never wait for one.

    Parameters
    ----------
    output_dir : Path
        Root of the derivative.
    subjects : iterable of str
        Labels without ``sub-``.
    note : callable
        Takes a line if the file system has no locks: then all are claimed, and the person must
        see to it that no participant is given to two runs.

    Raises
    ------
    OutputError
        If the lock file cannot be made.
    """
    mine: set[str] = set()
    busy: dict[str, str] = {}
    chosen = sorted(set(subjects))
    room = _room_for(len(chosen))
    with ExitStack() as stack:
        for subject in chosen:
            if len(mine) >= room:
                if len(mine) == room:
                    note(f"only {room} of {len(chosen)} participants can be locked (ulimit -n)")
                mine.add(subject)
                continue
            path = log_dir(output_dir, subject) / LOCK
            try:
                file = _lock(path)
            except BlockingIOError:
                busy[subject] = _holder(path)
                continue
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise cannot_write(path, error) from error
                if not mine:
                    note(f"{output_dir} has no file locks; give no participant to two runs")
                path.unlink(missing_ok=True)
            else:
                stack.callback(_release, file, path)
            mine.add(subject)
        yield Claims(frozenset(mine), busy)


def _room_for(count: int) -> int:
    """How many lock files may stay open, after asking the system for room for all of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return count if soft == resource.RLIM_INFINITY else max(0, soft - OTHER_FILES)


def _lock(path: Path) -> int:
    """Open and lock the file; its descriptor.

    Another run may remove the file between our opening and locking it: then we would hold a
    lock on a file that nobody else can find, so the name is looked up again.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(file, path):
                _sign(file)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: int) -> None:
    """Write who holds the lock, for the message to whoever comes second."""
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
    os.ftruncate(file, 0)
    os.write(file, f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode())


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "another run"
    except OSError:
        return "another run"


def _release(file: int, path: Path) -> None:
    """Remove the file while it is still ours, then let go; an output that vanished is no error."""
    try:
        if _same(file, path):
            path.unlink(missing_ok=True)
    except OSError:
        pass
    finally:
        os.close(file)
