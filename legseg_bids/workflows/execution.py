"""How a graph is run: which plug-in, and the lines that show progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from legseg_bids.settings import GIB, Settings

#: The steps that are worth a line even where nobody asked for many.
LOUD_STEPS = frozenset({"prepare", "segment", "write"})
DOING = {
    "prepare": "reading and preparing",
    "locate": "locating limbs",
    "segment": "segmenting",
    "merge": "merging labels",
    "measure": "measuring muscles",
    "write": "writing derivatives",
    "draw": "drawing overlay",
}

Say = Callable[[str], None]


def choose_plugin(
    settings: Settings, images: int, on_status: Callable[[Any, str], None], verbosity: int = 0
) -> Any:
    """A plug-in instance: serial for one image or one worker, else parallel.

    Parameters
    ----------
    settings : Settings
        Workers (``nprocs``), threads and memory of each.
    images : int
        How many images the graph holds.
    on_status : callable
        Called with each node and ``start``, ``end`` or ``exception``.
    verbosity : int
        Handed on to the workers.
    """
    if min(settings.nprocs, images) < 2:
        from nipype.pipeline.plugins.linear import LinearPlugin

        return LinearPlugin({"status_callback": on_status})
    from legseg_bids.workflows.multiproc import ResilientMultiProc

    workers = min(settings.nprocs, images)
    return ResilientMultiProc(
        {
            "status_callback": on_status,
            "n_procs": workers * settings.omp_nthreads,
            "memory_gb": workers * settings.memory / GIB,
            "raise_insufficient": False,
            "mp_context": "forkserver",
            "verbosity": verbosity,
        }
    )


class Progress:
    """Say which image is at which step; the status callback of the plug-ins.

    Parameters
    ----------
    names : dict
        Name of each station's workflow to the name that a person knows it by.
    say : callable
        Takes one line.
    verbosity : int
        From 1 on every step gets a line, else the long ones.
    """

    def __init__(self, names: dict[str, str], say: Say, verbosity: int = 0) -> None:
        self._names = names
        self._say = say
        self._steps = DOING.keys() if verbosity else LOUD_STEPS
        self._started = time.monotonic()
        self._seen: dict[str, int] = {}

    def __call__(self, node: Any, status: str) -> None:
        """Say that a node starts, or that it failed."""
        workflow, step = str(node.fullname).split(".")[-2:]
        if workflow not in self._names:
            return
        number = self._seen.setdefault(workflow, len(self._seen) + 1)
        head = f"[{time.monotonic() - self._started:6.1f} s] ({number}/{len(self._names)})"
        if status == "start" and step in self._steps:
            self._say(f"{head} {self._names[workflow]}: {DOING[step]}")
        if status == "exception":
            self._say(f"{head} {self._names[workflow]}: {DOING.get(step, step)} FAILED")
