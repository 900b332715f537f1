"""How many processors and how much memory this process is *allowed* to use.

``os.cpu_count()`` and ``/proc/meminfo`` describe the machine, not the share of it that a
batch system or a container has given us. The share is the smallest of what the CPU affinity,
SLURM and the control group (version 1 or 2) say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from legseg_bids.errors import UsageError
from legseg_bids.settings import GIB

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")

#: One image gains little from more threads than this; further processors take further images.
THREADS_PER_IMAGE = 8
#: Default ceiling for one process: a station of 512 x 512 x 40 fits.
DEFAULT_MEMORY = 2 * GIB
#: Share of the memory found that is planned with; the rest is for the system.
USABLE = 0.8

_UNITS = {"k": 1, "m": 2, "g": 3, "t": 4}


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Attributes
    ----------
    workers : int
        Images that are processed at the same time.
    threads : int
        Threads of each worker.
    memory : int
        Ceiling for each worker, bytes.
    """

    workers: int
    threads: int
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.workers} image(s) at a time, {self.threads} thread(s) and "
            f"{self.memory / GIB:.1f} GiB of memory each"
        )


def parse_memory(text: str) -> int:
    """Read an amount of memory; a unit is required.

    Decimal (kB, MB, GB, TB) and binary (KiB, MiB, GiB, TiB; also K, M, G, T) units.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    UsageError
        If the number or the unit is missing, or nothing is left.

    Examples
    --------
    >>> parse_memory("8GB"), parse_memory("512 MiB"), parse_memory("1.5G")
    (8000000000, 536870912, 1610612736)
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt])(i?b)?", text.strip().lower())
    if match is None:
        msg = f"memory {text!r}: expected a number with a unit; write for example 8GB or 8000MB"
        raise UsageError(msg)
    number, unit, ending = match.groups()
    amount = int(float(number) * (1000 if ending == "b" else 1024) ** _UNITS[unit])
    if amount < 1:
        msg = f"memory {text!r}: expected more than nothing; write for example 8GB"
        raise UsageError(msg)
    return amount


def allowed_cpus(
    environ: Mapping[str, str] = os.environ, root: Path = CGROUP_ROOT, proc: Path = PROC
) -> int:
    """Processors that this process may use at the same time, at least 1.

    The smallest of the CPU affinity, ``SLURM_CPUS_PER_TASK`` and the quota of the control
    group.
    """
    limits = [float(_affinity())]
    limits += _positive(environ.get("SLURM_CPUS_PER_TASK"))
    limits += _cgroup_cpus(root, proc)
    return max(1, int(min(limits)))


def allowed_memory(
    environ: Mapping[str, str] = os.environ, root: Path = CGROUP_ROOT, proc: Path = PROC
) -> int:
    """Bytes of memory that this process may use.

    The smallest of what is available on the machine, what SLURM granted
    (``SLURM_MEM_PER_NODE``, or ``SLURM_MEM_PER_CPU`` times the CPUs of the task; both in MB)
    and the limit of the control group.
    """
    limits = [*_available(proc), *_slurm_memory(environ), *_cgroup_memory(root, proc)]
    return int(min(limits, default=DEFAULT_MEMORY / USABLE))


def share(
    cpus: int, memory: int, *, threads: int | None = None, total: int | None = None
) -> Resources:
    """Divide processors and memory between images.

    Parameters
    ----------
    cpus : int
        Processors for the whole run.
    memory : int
        Bytes that were found, see :func:`allowed_memory`.
    threads : int or None
        Threads for each image; ``None`` takes all processors, at most 8.
    total : int or None
        Ceiling for the whole run that was asked for, bytes; ``None`` takes what was found,
        at most 2 GiB for each image.

    Examples
    --------
    >>> share(16, 64 * GIB)
    Resources(workers=2, threads=8, memory=2147483648)
    >>> share(4, 64 * GIB, threads=1, total=8 * GIB)
    Resources(workers=4, threads=1, memory=2147483648)
    """
    threads = min(cpus, threads or THREADS_PER_IMAGE)
    workers = max(1, cpus // threads)
    if total is not None:
        return Resources(workers, threads, total // workers)
    return Resources(workers, threads, min(DEFAULT_MEMORY, int(memory * USABLE) // workers))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _positive(text: str | None) -> list[float]:
    """The number in ``text`` as a list of one; empty where there is no usable number."""
    try:
        number = float(text or "")
    except ValueError:
        return []
    return [number] if number > 0 else []


def _available(proc: Path) -> list[float]:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            return [1024 * kib for kib in _positive(line.split()[1])]
    return []


def _slurm_memory(environ: Mapping[str, str]) -> Iterator[float]:
    for megabytes in _positive(environ.get("SLURM_MEM_PER_NODE")):
        yield megabytes * 1024**2
    cpus = _positive(environ.get("SLURM_CPUS_PER_TASK")) or [1.0]
    for megabytes in _positive(environ.get("SLURM_MEM_PER_CPU")):
        yield megabytes * 1024**2 * cpus[0]


def _cgroup_cpus(root: Path, proc: Path) -> Iterator[float]:
    for folder in _groups(root, proc, "", ""):
        words = " ".join(_lines(folder / "cpu.max")).split()
        yield from _ratio(words[:2])
    for folder in _groups(root, proc, "cpu", "cpu"):
        yield from _ratio(
            [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
        )


def _ratio(words: list[str]) -> list[float]:
    """Quota / period, or nothing where there is no limit (``max``, ``-1``)."""
    numbers = [number for word in words for number in _positive(word)]
    return [numbers[0] / numbers[1]] if len(numbers) == 2 else []


def _cgroup_memory(root: Path, proc: Path) -> Iterator[float]:
    files = [folder / "memory.max" for folder in _groups(root, proc, "", "")]
    files += [
        folder / "memory.limit_in_bytes" for folder in _groups(root, proc, "memory", "memory")
    ]
    for path in files:
        yield from _positive("".join(_lines(path)))


def _groups(root: Path, proc: Path, controller: str, folder: str) -> Iterable[Path]:
    """Folders of our control group and all its parents (a limit holds for all below it).

    Version 2 has one tree (``controller`` is empty), version 1 one tree for each controller.
    Within a container the path of the group is often not visible; its root is, and binds us.
    """
    base = root / folder
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            group = base / path.lstrip("/")
            return [group, *(parent for parent in group.parents if parent.is_relative_to(base))]
    return [base]


def _lines(path: Path) -> list[str]:
    """Lines of a file of the kernel; none where it does not exist or may not be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
