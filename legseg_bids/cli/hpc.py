"""``legseg-hpc``: show or submit a dataset as Slurm arrays, and again what failed.

Only the standard library is needed here, so that it also runs on a login node where the
application itself lives in an image.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from legseg_bids.cli.hpc_parser import parser
from legseg_bids.cli.options import label_file, spellings
from legseg_bids.cli.resources import parse_memory
from legseg_bids.cli.slurm import (
    SCRIPT,
    TABLE,
    Job,
    Plan,
    Request,
    array_range,
    batches,
    cost_for,
    find_hpc_dir,
    jobs_in_queue,
    load_costs,
    log_pattern,
    script_of,
    submit,
)
from legseg_bids.cli.task_records import Record, State, read_records, states
from legseg_bids.errors import ExitCode, LegsegError, NoFilterMatch, NoInput, UsageError

PLACE = Path("logs", "slurm")
"""Where, below the output, lists of participants, notes and logs of jobs go."""
IMAGES = ("*/*.nii*", "ses-*/*/*.nii*")
MIB = 1024**2
RESERVED = frozenset(
    word
    for words in (
        spellings("--participant-label", "--exclude-participant-label", "--dry-run"),
        spellings("--nprocs", "--nthreads", "--n-cpus", "--omp-nthreads"),
        spellings("--mem", "--mem-gb", "--mem-mb"),
    )
    for word in words
)


def main(words: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-hpc``; the exit code."""
    given = list(sys.argv[1:] if words is None else words)
    cut = given.index("--") if "--" in given else len(given)
    args = parser().parse_args(given[:cut])
    try:
        return _run(args, given[cut + 1 :])
    except LegsegError as error:
        _say(f"legseg-hpc: {error}")
        return int(error.exit_code)


def _run(args: argparse.Namespace, options: list[str]) -> int:
    bids, output = args.bids_dir.absolute(), args.output_dir.absolute()
    _check(args, bids, output, options)
    folder = output / PLACE
    queued = jobs_in_queue(folder)
    if queued and not args.force:
        raise UsageError(
            f"jobs {', '.join(queued)} of this output are still in the queue; expected none; "
            "wait, cancel them with scancel, or add --force"
        )
    participants = choose_participants(bids, args)
    records = read_records(folder)
    found = states(participants, records, output)
    if args.check:
        found |= _as_legseg_says(args, bids, output, options, found)
    _say(_counted(found))
    todo = [name for name in participants if args.all or not found[name].is_settled]
    if not todo:
        _say("nothing to submit")
        return ExitCode.OK
    plan = make_plan(args, options, {name: found[name] for name in todo}, records)
    if not plan.jobs:
        return ExitCode.FAILED
    if args.submit:
        submit(plan, _say)
    else:
        print(script_of(plan), end="")
    return ExitCode.OK


def choose_participants(bids: Path, args: argparse.Namespace) -> list[str]:
    """Participants that are there (``sub-01``) and chosen, sorted.

    Raises
    ------
    NoInput
        If the dataset has none.
    NoFilterMatch
        If a label that was asked for is not there, or none is left.
    """
    present = sorted(path.name for path in bids.glob("sub-*") if path.is_dir())
    if not present:
        raise NoInput(f"no folder sub-* in {bids}; expected a BIDS dataset; check the path")
    chosen = _labels(args.participant_label) or present
    unknown = [name for name in chosen if name not in set(present)]
    if unknown:
        raise NoFilterMatch(f"{unknown[0]} is not in {bids}; expected a folder; check the labels")
    excluded = set(_labels(args.exclude_participant_label))
    kept = sorted(set(chosen) - excluded)
    if not kept:
        raise NoFilterMatch("every participant is excluded; expected at least one")
    odd = [name for name in kept if re.fullmatch(r"sub-[\w+.-]+", name) is None]
    if odd:
        raise UsageError(
            f"{bids} has the folder {odd[0]!r}; expected letters, digits and + after sub-; "
            "rename it, or leave it out with --exclude-participant-label"
        )
    return kept


def make_plan(
    args: argparse.Namespace,
    options: Sequence[str],
    found: Mapping[str, State],
    records: Mapping[str, Record],
) -> Plan:
    """Lists of participants and jobs.

    Parameters
    ----------
    args : argparse.Namespace
        From `parser`.
    options : sequence of str
        For legseg.
    found : mapping of str to State
        Participants to run.
    records : mapping of str to Record
        What was noted of earlier tasks: what was killed gets twice what it had.
    """
    bids, output = args.bids_dir.absolute(), args.output_dir.absolute()
    hpc = find_hpc_dir()
    costs = load_costs(hpc / TABLE)
    plan = Plan(output / PLACE)
    script = [str(hpc / SCRIPT), *_program(args)]
    wanted = _wanted(args, found, records)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}"
    for number, ((memory, minutes), names) in enumerate(
        batches(wanted, args.max_array * args.participants_per_task), start=1
    ):
        labels = plan.folder / f"{stamp}-{number}.txt"
        plan.files[labels] = "".join(f"{name}\n" for name in names)
        request = Request(args.cpus, memory, minutes, args.gpu)
        span = array_range(len(names), args.participants_per_task, args.throttle)
        plan.jobs.append(
            Job(
                (
                    f"--array={span}",
                    *request.words(),
                    log_pattern(plan.folder, "%A_%a.log"),
                    *args.sbatch,
                    *script,
                    "--per-task",
                    str(args.participants_per_task),
                    "--records",
                    str(plan.folder),
                    "participant",
                    *(str(path) for path in (bids, output, labels)),
                    *options,
                ),
                # One array after the other: the throttle holds for all of them together.
                after=(len(plan.jobs) - 1,) if plan.jobs else (),
            )
        )
    if plan.jobs and args.group != "none":
        request = cost_for(costs["group"], 1).request(_participants(bids, output))
        words = ("--job-name=legseg-group", *request.words())
        words += (log_pattern(plan.folder, "group_%j.log"), *args.sbatch, *script)
        after = tuple(range(len(plan.jobs)))
        plan.jobs.append(Job((*words, "group", str(output)), after, args.group))
    return plan


def _wanted(
    args: argparse.Namespace, found: Mapping[str, State], records: Mapping[str, Record]
) -> dict[str, tuple[int, int]]:
    """Memory (MB) and minutes of the task of each participant."""
    cost = cost_for(load_costs(find_hpc_dir() / TABLE)["participant"], args.cpus)
    images = max(_images(args.bids_dir / name) for name in found)
    usual = cost.request(images * args.participants_per_task, args.participants_per_task)
    memory = parse_memory(args.mem) // MIB if args.mem else usual.memory_mb
    most = parse_memory(args.max_mem) // MIB
    usual = replace(usual, memory_mb=memory, minutes=args.minutes or usual.minutes)
    wanted = {}
    for name, state in found.items():
        had = records[name].memory_mb if name in records else 0
        needs = max(usual.memory_mb, 2 * had if state is State.KILLED else had)
        longer = 2 if state in (State.KILLED, State.STOPPED) else 1
        if needs > most:
            _say(f"LEFT OUT: {name} was killed with {had} MB; give more with --max-mem")
            continue
        wanted[name] = (needs, usual.minutes * longer)
    return wanted


def _participants(*folders: Path) -> int:
    """How many the table may hold: those of the dataset and of earlier runs."""
    return len({path.name for folder in folders for path in folder.glob("sub-*")})


def _images(folder: Path) -> int:
    """NIfTI files of a participant: at least as many as stations, so time enough for them."""
    return sum(1 for pattern in IMAGES for _ in folder.glob(pattern))


def _program(args: argparse.Namespace) -> list[str]:
    """What runs on the nodes, for the batch script."""
    gpu = ["--gpu"] if args.gpu else []
    if args.image is not None:
        return ["--image", str(args.image.absolute()), *gpu]
    return ["--program", str(_installed(args))]


def _installed(args: argparse.Namespace) -> Path:
    if args.program is not None:
        return Path(args.program).absolute()
    beside = Path(sys.argv[0]).absolute().parent / "legseg"
    found = shutil.which("legseg")
    if beside.is_file() or found is None:
        return beside
    return Path(found).absolute()


def _check(args: argparse.Namespace, bids: Path, output: Path, options: Sequence[str]) -> None:
    """What would fail on every node fails here."""
    if not bids.is_dir():
        raise NoInput(f"{bids} is not a folder; expected a BIDS dataset; check the path")
    taken = [word for word in options if word.partition("=")[0] in RESERVED]
    if taken:
        raise UsageError(
            f"{taken[0]} is decided for each task; expected it before --, where legseg-hpc has "
            "such an option (--cpus, --mem, --participant-label)"
        )
    program = args.image or _installed(args)
    if not program.is_file():
        raise UsageError(
            f"{program} does not exist; expected what is to run on the nodes; give --image "
            "legseg.sif, or --program with the path of legseg"
        )
    places = [bids, output, program]
    if any(re.search(r"[\x00-\x1f\x7f\\]", str(path)) for path in places):
        raise UsageError("a path holds a backslash or a line break; Slurm cannot take it")
    if args.image and any(re.search("[:,]", str(path)) for path in (bids, output)):
        raise UsageError(
            f"{bids} or {output} holds a colon or comma; expected none, as Apptainer reads them "
            "as the end of a path; rename the folder or make a link to it"
        )


def _as_legseg_says(
    args: argparse.Namespace,
    bids: Path,
    output: Path,
    options: Sequence[str],
    found: Mapping[str, State],
) -> dict[str, State]:
    """States corrected by what a dry run of the application finds."""
    with tempfile.TemporaryDirectory() as scratch:
        labels = Path(scratch, "labels.txt")
        labels.write_text("".join(f"{name}\n" for name in found), encoding="utf-8")
        command = _dry_run(args, bids, output, labels)
        words = [*command, "--dry-run", "--skip-bids-validation", *options]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=scratch)
    if done.returncode not in (ExitCode.OK, ExitCode.NO_INPUT):
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UsageError(f"legseg --dry-run failed: {' '.join(said[-1:])}; see --check")
    return corrected(found, done.stdout.splitlines())


def _dry_run(args: argparse.Namespace, bids: Path, output: Path, labels: Path) -> list[str]:
    chosen = ["--participant-label", str(labels)]
    if args.image is None:
        return [str(_installed(args)), str(bids), str(output), "participant", *chosen]
    runner = shutil.which("apptainer") or shutil.which("singularity")
    if runner is None:
        raise UsageError("Apptainer is not installed here; expected it for --check --image")
    output.mkdir(parents=True, exist_ok=True)
    binds = ((bids, "/data:ro"), (output, "/out"), (labels.parent, "/tmp"))
    words = [runner, "run", "--containall", "--cleanenv", "--pwd", "/tmp"]
    words += [word for path, place in binds for word in ("--bind", f"{path}:{place}")]
    words += [str(args.image.absolute()), "/data", "/out", "participant"]
    return [*words, "--participant-label", f"/tmp/{labels.name}"]


def corrected(found: Mapping[str, State], table: Sequence[str]) -> dict[str, State]:
    """States by the table of ``legseg --dry-run``, whose last column says what is to do.

    Who failed stays failed, even if all stations are done: merging them may have failed.

    Examples
    --------
    >>> before = {"sub-1": State.DONE, "sub-2": State.NEW, "sub-3": State.NEW}
    >>> after = corrected(before, ["sub-1  -  a.nii  to do", "sub-2  -  b.nii  done"])
    >>> [str(state) for state in after.values()]
    ['not begun', 'done', 'without images of the legs']
    """
    rows = [(line.partition(" ")[0], line.rpartition("  ")[2]) for line in table]
    todo = {name for name, state in rows if state == "to do"}
    done = {name for name, state in rows if state == "done"}
    out = dict(found)
    for name, state in found.items():
        if name in todo and state.is_settled:
            out[name] = State.NEW
        elif name in done - todo and state is State.NEW:
            out[name] = State.DONE
        elif name not in todo | done:
            out[name] = State.EMPTY
    return out


def _labels(words: Sequence[str]) -> list[str]:
    """Labels with ``sub-``; a single word may name a text file or participants.tsv."""
    text = label_file(words)
    if text is not None:
        lines = text.splitlines()
        words = [line.split()[0] for line in lines if line.strip() and line[0] != "#"]
        words = words[1:] if words[:1] == ["participant_id"] else words
    return [f"sub-{word.removeprefix('sub-')}" for word in words]


def _counted(found: Mapping[str, State]) -> str:
    counts = Counter(found.values())
    parts = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    return f"{len(found)} participant(s): {parts}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
