#!/usr/bin/env python3
"""Run legseg for many participants with Dask, for those who have a Dask cluster already.

    python legseg_dask.py DATA OUT --cluster slurm --workers 20 [-- --skip-bids-validation]

Each participant is one call of legseg, so that what fails, fails alone; the same command again
does what is missing. Needs ``dask`` and ``distributed``; for ``--cluster slurm`` also
``dask-jobqueue``. An array (``legseg-hpc``) needs none of these, and survives the end of the
process that submitted it, which this does not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

EXIT_NO_INPUT = 66


class Call(NamedTuple):
    """A call of legseg for one participant."""

    participant: str
    words: tuple[str, ...]


class Ended(NamedTuple):
    """How it ended: exit code (negative: by a signal) and the last line that was printed."""

    participant: str
    code: int
    line: str


def calls(
    program: Path, bids: Path, output: Path, cpus: int, options: Sequence[str]
) -> Iterator[Call]:
    """One call for each participant of the dataset."""
    for folder in sorted(bids.glob("sub-*")):
        if folder.is_dir():
            words = [str(program), str(bids), str(output), "participant"]
            words += ["--participant-label", folder.name]
            words += ["--nprocs", str(cpus), "--omp-nthreads", str(cpus)]
            yield Call(folder.name, (*words, *options))


def run(call: Call) -> Ended:
    """Carry out a call, on a worker; in an empty folder, as a label may be taken for a file."""
    with tempfile.TemporaryDirectory(prefix="legseg-") as scratch:
        done = subprocess.run(call.words, cwd=scratch, capture_output=True, text=True, check=False)
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return Ended(call.participant, done.returncode, lines[-1] if lines else "")


def run_all(client: Any, todo: Sequence[Call]) -> list[Ended]:
    """Carry out all calls on a Dask client; tell of each when it ends."""
    from distributed import as_completed

    # retries=0, pure=False: what failed is not tried again behind our back, nor taken as known.
    futures = client.map(run, todo, pure=False, retries=0)
    begun = {future.key: call for future, call in zip(futures, todo, strict=True)}
    ended = []
    for future in as_completed(futures):
        one = future.result() if future.status == "finished" else None
        if one is None:
            name = begun[future.key].participant
            one = Ended(name, -9, "the worker was killed, most likely for want of memory")
        print(f"{one.participant}: {one.code}: {one.line}", flush=True)
        ended.append(one)
    return ended


def make_cluster(args: argparse.Namespace) -> Any:
    """A cluster of processes here, or of Slurm jobs; one thread each: legseg brings its own."""
    if args.cluster == "local":
        from distributed import LocalCluster

        return LocalCluster(
            n_workers=args.workers, threads_per_worker=1, dashboard_address=None, memory_limit=None
        )
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        cores=1,
        processes=1,
        job_cpu=args.cpus,
        memory=args.mem,
        walltime=args.walltime,
        interface=args.interface,
        job_extra_directives=args.sbatch,
    )
    cluster.scale(args.workers)
    return cluster


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0 if all went well or had no image, else 1."""
    given = list(sys.argv[1:] if words is None else words)
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bids_dir", type=Path)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--program", type=Path, default=Path("legseg"))
    parser.add_argument("--cluster", choices=("local", "slurm"), default="local")
    parser.add_argument("--workers", type=int, default=2, help="participants at a time")
    parser.add_argument("--cpus", type=int, default=2, help="of each worker")
    parser.add_argument("--mem", default="3GiB", help="of each worker (slurm)")
    parser.add_argument("--walltime", default="12:00:00", help="of each worker (slurm)")
    parser.add_argument("--interface", help="network interface that nodes share, as ib0 (slurm)")
    parser.add_argument("--sbatch", action="append", default=[], help="as --sbatch=--account=legs")
    args = parser.parse_args(given[:cut])
    places = (args.bids_dir.absolute(), args.output_dir.absolute())
    todo = list(calls(args.program, *places, args.cpus, given[cut + 1 :]))
    from distributed import Client

    with make_cluster(args) as cluster, Client(cluster) as client:
        ended = run_all(client, todo)
    failed = [one.participant for one in ended if one.code not in (0, EXIT_NO_INPUT)]
    print(f"{len(ended) - len(failed)} of {len(ended)} participants without failure")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
