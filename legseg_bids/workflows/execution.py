"""How a graph is run: which plug-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.monitor import OnStatus, start_table, watched
from legseg_bids.workflows.plugin_file import IN_SETTINGS, Plugin, make_plugin, read_plugin


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
