"""What each step of a run costs (``--resource-monitor``): a table of time, processor, memory.

nipype has a monitor of its own, which needs psutil and writes JSON into the work folder. This
one needs nothing but the kernel's own figures.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HEADER = ("node", "start", "seconds", "cpu_percent", "peak_rss_mib")
SAMPLE_SECONDS = 0.05
MIB = 1024**2
_STATM, _STATUS = Path("/proc/self/statm"), Path("/proc/self/status")

OnStatus = Callable[[Any, str], None]


class Meter:
    """Measure this process from construction to :meth:`row`.

    Memory is the largest resident set that was seen; where the process never held so much
    before, the kernel knows the exact figure.

    Examples
    --------
    >>> meter = Meter("prepare")
    >>> meter.row()[0]
    'prepare'
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.time()
        self._clock, self._cpu = time.monotonic(), _cpu_seconds()
        self._highest_before = highest()
        self._peak = _resident()
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def row(self) -> tuple[str, ...]:
        """Stop measuring; one row of the table."""
        self._over.set()
        self._sampler.join()
        seconds = time.monotonic() - self._clock
        share = 100 * (_cpu_seconds() - self._cpu) / max(seconds, 1e-3)
        ever = highest()
        peak = ever if ever > self._highest_before else max(self._peak, _resident())
        began = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(self._began))
        return (self._name, began, f"{seconds:.2f}", f"{share:.0f}", f"{peak / MIB:.1f}")

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, _resident())


@contextmanager
def measuring(table: Path, name: str) -> Iterator[None]:
    """Measure what the block does, and add a row to the table, even if the block fails."""
    meter = Meter(name)
    try:
        yield
    finally:
        add_row(table, meter.row())


def watched(on_status: OnStatus, table: Path) -> OnStatus:
    """A status callback that also measures; for the serial plug-in, which runs in this process.

    Parameters
    ----------
    on_status : callable
        Called with each node and its status, as before.
    table : Path
        Where the rows go.
    """
    running: dict[str, Meter] = {}

    def both(node: Any, status: str) -> None:
        on_status(node, status)
        name = str(node.fullname)
        if status == "start":
            running[name] = Meter(name)
        elif name in running:
            add_row(table, running.pop(name).row())

    return both


def start_table(table: Path) -> None:
    """Make the file with its header, before the first of several processes adds a row."""
    if not table.exists():
        _append(table, HEADER)


def add_row(table: Path, row: tuple[str, ...]) -> None:
    """Add a row; several processes may do so at once."""
    _append(table, row)


def _append(table: Path, words: tuple[str, ...]) -> None:
    """One write for each line; a table that cannot be written is not worth a run."""
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("ab", buffering=0) as file:
            file.write(("\t".join(words) + "\n").encode())
    except OSError as error:
        print(f"{table} cannot be written ({error.strerror})", file=sys.stderr)


def _cpu_seconds() -> float:
    """Processor time of this process and of those that it waited for."""
    return sum(os.times()[:4])


def _resident() -> int:
    """Resident memory now, bytes; the highest ever where the kernel does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return highest()


def highest() -> int:
    """Largest resident memory that this process ever had, bytes.

    ``getrusage`` gives that of the process that started this one, if it was larger; so the
    kernel is asked first.
    """
    try:
        lines = _STATUS.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, IndexError, ValueError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
