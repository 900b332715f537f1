"""What Slurm is asked for: resources from a measured table, arrays, and the group job.

A plan is files and jobs. It can be shown as a script or carried out; both say the same.
"""

from __future__ import annotations

import csv
import math
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from legseg_bids.errors import LegsegError, UsageError

SCRIPT = "legseg_array.sbatch"
TABLE = "resources.tsv"
MARGIN_MEMORY = 2.0
"""Ask for so many times the peak that was measured: images differ, and so do libraries."""
MARGIN_TIME = 4.0
"""Likewise: nodes are slower and file systems busier than the machine that was measured."""
LEAST_MINUTES = 15
STEP_MB = 512
JOBS = "jobs.txt"


class SubmitError(LegsegError):
    """Slurm does not take a job."""


@dataclass(frozen=True)
class Request:
    """Resources of one task: processors, memory in MiB (which Slurm calls MB), minutes."""

    cpus: int
    memory_mb: int
    minutes: int
    gpu: bool = False

    def words(self) -> list[str]:
        """For ``sbatch``.

        Examples
        --------
        >>> Request(2, 3072, 90).words()
        ['--cpus-per-task=2', '--mem=3072M', '--time=01:30:00']
        """
        hours, minutes = divmod(self.minutes, 60)
        time = f"--time={hours:02d}:{minutes:02d}:00"
        words = [f"--cpus-per-task={self.cpus}", f"--mem={self.memory_mb}M", time]
        return words + ["--gres=gpu:1"] * self.gpu


@dataclass(frozen=True)
class Cost:
    """One row of the table: what was measured for a level with so many processors.

    Attributes
    ----------
    cpus : int
        Processors.
    base_mib, each_mib : float
        Peak memory: of any run, and what each thing adds. Things are stations for a
        participant, which follow each other, and participants for the group.
    base_seconds, each_seconds : float
        Time, likewise.
    """

    cpus: int
    base_mib: float
    each_mib: float
    base_seconds: float
    each_seconds: float

    def seconds(self, things: int, runs: int = 1) -> float:
        """Time of some runs with so many things together."""
        return runs * self.base_seconds + things * self.each_seconds

    def request(self, things: int, runs: int = 1, *, gpu: bool = False) -> Request:
        """What to ask for, for a task of some runs with so many things together.

        Examples
        --------
        >>> Cost(2, 900, 0, 5, 5).request(2)
        Request(cpus=2, memory_mb=2048, minutes=15, gpu=False)
        """
        peak = self.base_mib + things * self.each_mib
        memory = math.ceil(peak * MARGIN_MEMORY / STEP_MB) * STEP_MB
        minutes = math.ceil(self.seconds(things, runs) * MARGIN_TIME / 60)
        return Request(self.cpus, memory, max(LEAST_MINUTES, minutes), gpu)


@dataclass(frozen=True)
class Job:
    """One call of ``sbatch``: its words, and the jobs of the plan that must end before."""

    words: tuple[str, ...]
    after: tuple[int, ...] = ()
    condition: str = "afterany"

    def dependency(self, ids: Sequence[str]) -> list[str]:
        """The option that names the jobs before, by the identifiers that Slurm gave them."""
        if not self.after:
            return []
        return ["--dependency=" + ":".join([self.condition, *(ids[n] for n in self.after)])]


@dataclass
class Plan:
    """Files to write (text with a line break at its end), and jobs to submit in this order."""

    folder: Path
    files: dict[Path, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)


def find_hpc_dir() -> Path:
    """Folder of the batch script and the table: in the installed package, or the source tree.

    Raises
    ------
    UsageError
        If there is none.
    """
    package = Path(__file__).resolve().parents[1]
    choices = (package / "_hpc", package.parent / "hpc")
    for folder in choices:
        if (folder / SCRIPT).is_file():
            return folder
    raise UsageError(f"no {SCRIPT} in {choices[0]} or {choices[1]}; expected it; install again")


def load_costs(path: Path) -> dict[str, list[Cost]]:
    """Read the table: level to rows by rising number of processors."""
    names = ("base_mib", "each_mib", "base_seconds", "each_seconds")
    found: dict[str, list[Cost]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            cost = Cost(int(row["cpus"]), *(float(row[name]) for name in names))
            found.setdefault(row["level"], []).append(cost)
    return {level: sorted(rows, key=lambda cost: cost.cpus) for level, rows in found.items()}


def cost_for(costs: Sequence[Cost], cpus: int) -> Cost:
    """The row for so many processors; where it is missing, that of the next fewer ones.

    Examples
    --------
    >>> cost_for([Cost(1, 900, 0, 5, 6), Cost(2, 900, 0, 5, 5)], 3)
    Cost(cpus=3, base_mib=900, each_mib=0, base_seconds=5, each_seconds=5)
    """
    return replace([cost for cost in costs if cost.cpus <= cpus][-1], cpus=cpus)


def array_range(participants: int, per_task: int, throttle: int) -> str:
    """For ``--array``.

    Examples
    --------
    >>> array_range(301, 10, 50), array_range(3, 1, 50)
    ('1-31%50', '1-3%50')
    """
    return f"1-{math.ceil(participants / per_task)}%{throttle}"


def log_pattern(folder: Path, name: str) -> str:
    """For ``--output``: in file names Slurm reads ``%`` as the beginning of a field.

    Examples
    --------
    >>> log_pattern(Path("/out/50%"), "%A_%a.log")
    '--output=/out/50%%/%A_%a.log'
    """
    return f"--output={str(folder).replace('%', '%%')}/{name}"


def script_of(plan: Plan) -> str:
    """The plan as a script for bash, which does what `submit` does."""
    lines = ["#!/usr/bin/env bash", "set -euo pipefail", f"mkdir -p -- {_quoted(plan.folder)}"]
    for path, text in plan.files.items():
        lines += [f"cat >{_quoted(path)} <<'END OF LIST'", *text.splitlines(), "END OF LIST"]
    names = [f"${{job{number}%%;*}}" for number in range(1, len(plan.jobs) + 1)]
    for number, job in enumerate(plan.jobs, start=1):
        words = [f'"{word}"' for word in job.dependency(names)]
        words += [shlex.quote(word) for word in job.words]
        lines.append(f"job{number}=$(sbatch --parsable {' '.join(words)})")
        note = f'echo "${{job{number}%%;*}}"'
        lines.append(f"{note} | tee -a {_quoted(plan.folder / JOBS)}")
    return "\n".join([*lines, ""])


def submit(plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Write the files and submit the jobs; the identifiers that Slurm gave them.

    Raises
    ------
    SubmitError
        If Slurm is not there, or refuses a job; those before it stay submitted.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    for path, text in plan.files.items():
        path.write_text(text, encoding="utf-8")
    ids: list[str] = []
    for job in plan.jobs:
        ids.append(_sbatch([*job.dependency(ids), *job.words], ids))
        with (plan.folder / JOBS).open("a", encoding="utf-8") as file:
            file.write(f"{ids[-1]}\n")
        say(f"submitted job {ids[-1]}")
    return ids


def jobs_in_queue(folder: Path) -> list[str]:
    """Jobs submitted for this output that Slurm has not finished; none where it is not there."""
    try:
        mine = set((folder / JOBS).read_text(encoding="utf-8").split())
        words = ["squeue", "--noheader", "--format=%A"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return sorted(mine & set(done.stdout.split()))


def _sbatch(words: Sequence[str], before: Sequence[str]) -> str:
    already = f" (submitted already: {', '.join(before)})" if before else ""
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", *words], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise SubmitError(
            f"sbatch cannot be called ({error}); expected Slurm on this machine; without "
            "--submit the script is shown instead"
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise SubmitError(f"sbatch refuses a job: {said}; see --sbatch{already}")
    return done.stdout.strip().partition(";")[0]


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def batches(
    wanted: Mapping[str, tuple[int, int]], most: int
) -> list[tuple[tuple[int, int], list[str]]]:
    """Participants that ask for the same, in lists that are no longer than an array may be.

    Parameters
    ----------
    wanted : mapping of str to (int, int)
        Participant to memory (MB) and minutes.
    most : int
        Participants in one array.

    Examples
    --------
    >>> batches({"a": (1, 9), "b": (2, 9), "c": (1, 9)}, most=1)
    [((1, 9), ['a']), ((1, 9), ['c']), ((2, 9), ['b'])]
    """
    same: dict[tuple[int, int], list[str]] = {}
    for name, request in wanted.items():
        same.setdefault(request, []).append(name)
    return [
        (request, names[start : start + most])
        for request, names in sorted(same.items())
        for start in range(0, len(names), most)
    ]
