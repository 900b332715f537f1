"""nipype's plug-ins for Slurm, with their traps covered.

``SLURMGraph`` submits a job for each step and returns at once: it neither waits nor says what
failed. Here the jobs carry a mark, by which they are found again: the run goes on when the last
has ended, and cancels them if it is interrupted. What failed is told by the crash files, as
always.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from nipype.pipeline.plugins.slurmgraph import SLURMGraphPlugin

from legseg_bids.errors import UsageError

POLL = 2.0
"""Seconds between two looks into the queue."""


class WaitingSLURMGraph(SLURMGraphPlugin):
    """``SLURMGraph`` that waits for its jobs; arguments as for that.

    ``poll_sleep_duration`` is the time between two looks into the queue, in seconds.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        self._mark = f"legseg-{uuid.uuid4().hex}"
        # A job behind one that failed would wait for ever.
        ours = f"--kill-on-invalid-dep=yes --comment={self._mark}"
        words = f"{plugin_args.get('sbatch_args', '')} {ours}".strip()
        args = {"dont_resubmit_completed_jobs": False, **plugin_args, "sbatch_args": words}
        args.pop("status_callback", None)
        self._poll = float(args.pop("poll_sleep_duration", POLL))
        super().__init__(plugin_args=args)

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Submit the graph, and wait for the end of all its jobs."""
        try:
            super().run(graph, config, updatehash=updatehash)
            while self._jobs() != []:
                time.sleep(self._poll)
        except BaseException:
            subprocess.run(["scancel", *(self._jobs() or [])], check=False)
            raise

    def _jobs(self) -> list[str] | None:
        """Identifiers of our jobs that are waiting or running; None if Slurm does not answer."""
        words = ["squeue", "--noheader", "--format=%A %k"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        lines = (line.split() for line in done.stdout.splitlines())
        return [words[0] for words in lines if words[1:] == [self._mark]]


def prepare_for_batch(name: str, work_dir: Path | None) -> None:
    """Make sure that a plug-in that hands steps to a batch system can work.

    Parameters
    ----------
    name : str
        Of the plug-in, for the message.
    work_dir : Path or None
        What ``-w`` says.

    Raises
    ------
    UsageError
        If there is no work folder that nodes may see, or its path would have to be quoted,
        which nipype does not do.
    """
    if work_dir is None:
        raise UsageError(
            f"the plug-in {name} hands each step to other machines, but there is no work folder; "
            "expected one that all of them see; give it with -w"
        )
    if re.fullmatch(r"[\w/.+@:-]+", str(work_dir)) is None:
        raise UsageError(
            f"work folder {work_dir} holds blanks or other characters that the plug-in {name} "
            "does not quote; expected letters, digits, and any of /._+@:-; choose another"
        )
    # nipype's SLURM reads it, and some systems do not set it.
    os.environ.setdefault("LOGNAME", _user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
