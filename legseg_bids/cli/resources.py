"""How many processors and how much memory this process is *allowed* to use.

``os.cpu_count()`` and ``/proc/meminfo`` describe the machine, not the share of it that a
batch system or a container has given us. The share is the smallest of what the CPU affinity,
SLURM and the control groups (version 1 or 2, ours and all above it) say; each limit knows where
it comes from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
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
class Limit:
    """How much may be used, and who says so.

    Attributes
    ----------
    amount : float
        Processors, or bytes.
    source : str
        For the line that a person reads.
    """

    amount: float
    source: str


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

    Decimal (kB, MB, GB, TB) and binary (KiB, MiB, GiB, TiB; also K, M, G, T) units; B alone
    are bytes.

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
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgt])(i?b)?|b)", text.strip().lower())
    if match is None:
        msg = f"memory {text!r}: expected a number with a unit; write for example 8GB or 8000MB"
        raise UsageError(msg)
    number, unit, ending = match.groups()
    amount = int(float(number) * (1000 if ending == "b" else 1024) ** _UNITS.get(unit, 0))
    if amount < 1:
        msg = f"memory {text!r}: expected more than nothing; write for example 8GB"
        raise UsageError(msg)
    return amount


def allowed_cpus(
    environ: Mapping[str, str] = os.environ, root: Path = CGROUP_ROOT, proc: Path = PROC
) -> Limit:
    """Processors that this process may use at the same time, a whole number of at least 1.

    The smallest of the CPU affinity, ``SLURM_CPUS_PER_TASK`` (else ``SLURM_CPUS_ON_NODE``) and
    the quotas of the control groups.
    """
    limits = [_affinity(), *_slurm_cpus(environ)[:1], *_cgroup_cpus(root, proc)]
    least = min(limits, key=lambda limit: limit.amount)
    return Limit(max(1, int(least.amount)), least.source)


def allowed_memory(
    environ: Mapping[str, str] = os.environ, root: Path = CGROUP_ROOT, proc: Path = PROC
) -> Limit:
    """Bytes of memory that this process may use.

    The smallest of what is available on the machine, what SLURM granted (in MB, for the node,
    or for each CPU or GPU of the task) and the limits of the control groups.
    """
    limits = [*_available(proc), *_slurm_memory(environ), *_cgroup_memory(root, proc)]
    unknown = Limit(DEFAULT_MEMORY / USABLE, "assumed")
    return min(limits, key=lambda limit: limit.amount, default=unknown)


def describe(used: Resources, cpus: Limit, memory: Limit) -> str:
    """One line: what a run uses of what it is allowed, and who says so.

    Examples
    --------
    >>> describe(share(16, 64 * GIB), Limit(16, "CPU affinity"), Limit(64 * GIB, "SLURM"))
    '2 image(s) at a time, 8 thread(s) and 2.0 GiB of memory each; allowed: 16 processor(s)
     (CPU affinity), 64.0 GiB (SLURM)'
    """
    line = (
        f"{used}; allowed: {cpus.amount:.0f} processor(s) ({cpus.source}), "
        f"{memory.amount / GIB:.1f} GiB ({memory.source})"
    )
    if used.workers * used.threads > cpus.amount:
        line += "; WARNING: asked for more processors than are allowed, which only slows down"
    if used.workers * used.memory > memory.amount:
        line += "; WARNING: asked for more memory than is allowed: processes may be killed"
    return line


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


def _affinity() -> Limit:
    if hasattr(os, "sched_getaffinity"):
        return Limit(len(os.sched_getaffinity(0)), "CPU affinity")
    return Limit(os.cpu_count() or 1, "processors of this machine")


def _positive(text: str | None) -> list[float]:
    """The number in ``text`` as a list of one; empty where there is no usable number."""
    try:
        number = float(text or "")
    except ValueError:
        return []
    return [number] if 0 < number < float("inf") else []


def _available(proc: Path) -> list[Limit]:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemAvailable:"):
            kib = _positive(line.split()[1])
            return [Limit(1024 * number, "available on this machine") for number in kib]
    return []


def _slurm_cpus(environ: Mapping[str, str]) -> list[Limit]:
    """What SLURM says; the first counts: what a task may use is less than what a job has."""
    names = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
    return [Limit(number, name) for name in names for number in _positive(environ.get(name))]


def _slurm_memory(environ: Mapping[str, str]) -> Iterator[Limit]:
    cpus = [limit.amount for limit in _slurm_cpus(environ)] or [1.0]
    gpus = _positive(environ.get("SLURM_GPUS_ON_NODE")) or [1.0]
    for name, times in (
        ("SLURM_MEM_PER_NODE", 1.0),
        ("SLURM_MEM_PER_CPU", cpus[0]),
        ("SLURM_MEM_PER_GPU", gpus[0]),
    ):
        for megabytes in _positive(environ.get(name)):
            yield Limit(megabytes * 1024**2 * times, name)


def _cgroup_cpus(root: Path, proc: Path) -> Iterator[Limit]:
    for folder in _groups(root, proc, ""):
        words = " ".join(_lines(folder / "cpu.max")).split()
        yield from _ratio(words[:2], "control group, cpu.max")
    for folder in _groups(root, proc, "cpu"):
        files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        words = [line for path in files for line in _lines(path)]
        yield from _ratio(words, "control group, cpu.cfs_quota_us")


def _ratio(words: list[str], source: str) -> list[Limit]:
    """Quota / period, or nothing where there is no limit (``max``, ``-1``)."""
    numbers = [number for word in words for number in _positive(word)]
    return [Limit(numbers[0] / numbers[1], source)] if len(numbers) == 2 else []


def _cgroup_memory(root: Path, proc: Path) -> Iterator[Limit]:
    """Above ``memory.high`` a group is slowed down, above ``memory.max`` killed."""
    for controller, names in (
        ("", ("memory.max", "memory.high")),
        ("memory", ("memory.limit_in_bytes",)),
    ):
        for folder in _groups(root, proc, controller):
            for name in names:
                for number in _positive("".join(_lines(folder / name))):
                    yield Limit(number, f"control group, {name}")
    for folder in _groups(root, proc, "memory"):
        # The groups above may not be visible from within a container; their limit is.
        for line in _lines(folder / "memory.stat"):
            if line.startswith("hierarchical_memory_limit "):
                for number in _positive(line.split()[1]):
                    yield Limit(number, "control group, hierarchical_memory_limit")


def _groups(root: Path, proc: Path, controller: str) -> list[Path]:
    """Folders of our control group and all its parents (a limit holds for all below it).

    Version 2 has one tree (``controller`` is empty; ``unified`` where both versions are
    mounted), version 1 one tree for each controller or for a few together. Within a container
    the path of our group is often not visible; the root that is visible binds us.
    """
    bases = _bases(root, controller)
    inner = [
        line.split(":", 2)[2].lstrip("/")
        for line in _lines(proc / "self" / "cgroup")
        if controller in line.split(":", 2)[1].split(",")
    ]
    folders = []
    for base in bases:
        for path in inner:
            group = base / path
            if ".." not in group.parts:
                folders += [group, *group.parents]
        folders.append(base)
    kept = (folder for folder in folders if any(folder.is_relative_to(base) for base in bases))
    return list(dict.fromkeys(kept))


def _bases(root: Path, controller: str) -> list[Path]:
    if not controller:
        return [root, root / "unified"]
    try:
        return sorted(path for path in root.iterdir() if controller in path.name.split(","))
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    """Lines of a file of the kernel; none where it does not exist or may not be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
