"""How a graph is run: which plug-in, and the lines that show progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from legseg_bids.bids.names import printable
from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.monitor import start_table, watched
from legseg_bids.workflows.plugin_file import IN_SETTINGS, Plugin, make_plugin, read_plugin

#: The steps that are worth a line even where nobody asked for many.
LOUD_STEPS = frozenset({"prepare", "segment", "write", "join"})
#: What a step does, for a person; a step that is not listed goes by its own name.
DOING = {
    "prepare": "reading and preparing",
    "classify": "looking at the slices",
    "locate": "locating limbs",
    "segment": "segmenting",
    "merge": "merging labels",
    "measure": "measuring muscles",
    "write": "writing derivatives",
    "draw": "drawing overlay",
    "join": "joining stations",
}
#: An image is through when one of these ends: a station's, and that of a merged image.
LAST_STEPS = frozenset({"draw", "join"})

Say = Callable[[str], None]
OnStatus = Callable[[Any, str], None]


def is_parallel(settings: Settings) -> bool:
    """Whether one graph holds all images; else each image is a graph of its own."""
    if settings.plugin_file is None:
        return settings.nprocs > 1
    return read_plugin(settings.plugin_file).name not in ("Linear", "Debug")


def choose_plugin(
    settings: Settings,
    images: int,
    on_status: OnStatus,
    verbosity: int = 0,
    monitor: Path | None = None,
) -> Any:
    """A plug-in instance: that of the plug-in file, else serial or parallel.

    Serial for one image or one worker. The arguments of a plug-in file go before ours, but for
    processors and memory, of which the settings know already.

    Parameters
    ----------
    settings : Settings
        Workers (``nprocs``), threads and memory of each, plug-in file.
    images : int
        How many images the graph holds.
    on_status : callable
        Called with each node and ``start``, ``end``, ``retry`` or ``exception``.
    verbosity : int
        Handed on to the workers.
    monitor : Path or None
        Table of what each step costs, see :mod:`legseg_bids.workflows.monitor`; not for
        plug-ins that hand the steps to a batch system.

    Raises
    ------
    UsageError
        If the plug-in file cannot be used.
    """
    plugin = read_plugin(settings.plugin_file) if settings.plugin_file else None
    if monitor is not None:
        start_table(monitor)
    if plugin is not None and not plugin.is_local and plugin.name != "Linear":
        return make_plugin(plugin, on_status, settings.work_dir)
    workers = min(settings.nprocs, images)
    if workers < 2 if plugin is None else plugin.name == "Linear":
        return _serial(on_status, monitor)
    args = {
        "n_procs": workers * settings.omp_nthreads,
        "memory_gb": workers * settings.memory / GIB,
        "raise_insufficient": False,
        "mp_context": "forkserver",
        **_beside_settings(plugin),
        "status_callback": on_status,
        "verbosity": verbosity,
        "monitor": monitor,
    }
    from legseg_bids.workflows.multiproc import ResilientMultiProc

    return ResilientMultiProc(args)


def _serial(on_status: OnStatus, monitor: Path | None) -> Any:
    from nipype.pipeline.plugins.linear import LinearPlugin

    if monitor is not None:
        on_status = watched(on_status, monitor)
    return LinearPlugin({"status_callback": _of_begun_steps(on_status)})


def _beside_settings(plugin: Plugin | None) -> dict[str, Any]:
    """Arguments of a plug-in file that are not part of the settings."""
    found = plugin.args if plugin else {}
    return {name: value for name, value in found.items() if name not in IN_SETTINGS}


def _of_begun_steps(on_status: OnStatus) -> OnStatus:
    """Keep quiet of steps that were left out: nipype's serial plug-in calls them ended."""
    begun: set[str] = set()

    def only(node: Any, status: str) -> None:
        name = str(node.fullname)
        if status == "start":
            begun.add(name)
        if name in begun:
            on_status(node, status)

    return only


class Progress:
    """Say which image is at which step; the status callback of the plug-ins.

    Each event is a line of its own, for a person and for a log file: how long the run has
    taken, which image of how many, what it is at; and when an image is through, how long it
    took and how long the others will take at this pace.

    Parameters
    ----------
    names : dict
        Name of each station's workflow to the name that a person knows it by.
    say : callable
        Takes one line.
    verbosity : int
        From 1 on every step gets a line, else the long ones.
    clock : callable
        Gives seconds.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> seconds = iter((0, 2, 60, 62, 130))
    >>> names = {"a_wf": "sub-01_T1w", "b_wf": "sub-02_T1w"}
    >>> progress = Progress(names, print, clock=lambda: next(seconds))
    >>> progress(SimpleNamespace(fullname="wf.a_wf.prepare"), "start")
    [0:00:02] (1/2) sub-01_T1w: reading and preparing
    >>> progress(SimpleNamespace(fullname="wf.a_wf.draw"), "end")
    [0:01:00] (1/2) sub-01_T1w: done in 0:00:58; 1 of 2 images done, about 0:01:00 left
    >>> progress(SimpleNamespace(fullname="wf.b_wf.segment"), "start")
    [0:01:02] (2/2) sub-02_T1w: segmenting
    >>> progress(SimpleNamespace(fullname="wf.b_wf.merge"), "exception")
    [0:02:10] (2/2) sub-02_T1w: merging labels FAILED after 0:01:08; 2 of 2 images done
    """

    def __init__(
        self,
        names: dict[str, str],
        say: Say,
        verbosity: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = names
        self._say = say
        self._verbose = verbosity > 0
        self._clock = clock
        self._started = clock()
        self._number: dict[str, int] = {}
        self._begun: dict[str, float] = {}
        self._through: set[str] = set()

    def __call__(self, node: Any, status: str) -> None:
        """Say what a node's status means."""
        workflow, step = str(node.fullname).split(".")[-2:]
        if workflow not in self._names or _interrupted():
            return
        now = self._clock() - self._started
        number = self._number.setdefault(workflow, len(self._number) + 1)
        self._begun.setdefault(workflow, now)
        message = self._message(workflow, step, status, now)
        if message:
            name = printable(self._names[workflow])
            self._say(f"[{hours(now)}] ({number}/{len(self._names)}) {name}: {message}")

    def _message(self, workflow: str, step: str, status: str, now: float) -> str:
        doing = DOING.get(step, step)
        if status == "start":
            return doing if self._verbose or step in LOUD_STEPS else ""
        if status == "retry":
            return f"{doing}: the process was killed; once more, alone"
        if status == "exception" and workflow not in self._through:
            return f"{doing} FAILED after {self._finish(workflow, now)}"
        if status == "end" and step in LAST_STEPS:
            return f"done in {self._finish(workflow, now)}"
        return ""

    def _finish(self, workflow: str, now: float) -> str:
        """How long the image took, how many are through, how long the others will take."""
        self._through.add(workflow)
        through, images = len(self._through), len(self._names)
        left = now / through * (images - through)
        rest = f", about {hours(left)} left" if through < images else ""
        took = hours(now - self._begun[workflow])
        return f"{took}; {through} of {images} images done{rest}"


def hours(seconds: float) -> str:
    """A duration that sorts and reads well.

    Examples
    --------
    >>> hours(3725.4), hours(0.2)
    ('1:02:05', '0:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _interrupted() -> bool:
    """Whether an interruption is on its way out: nipype then calls a step that it left ended."""
    error = sys.exc_info()[1]
    return error is not None and not isinstance(error, Exception)
