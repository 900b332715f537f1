"""nipype's parallel plug-in, made to survive the death of a worker and to stop when told to.

When the kernel kills a worker (mostly for want of memory), the pool of processes is broken:
nipype's own plug-in loses the results of all that was in it and waits for them for ever. Here
each step that was in the pool is tried once more, in a process that it shares with nobody: the
one that is killed again is reported as failed, the others go on.

When the run is interrupted, nipype's own plug-in leaves its workers behind. Here they are
ended, also if this process was killed and cannot do it.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import wait
from pathlib import Path
from traceback import format_exception
from typing import Any, NoReturn

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, run_node

from legseg_bids.bids.sockets import make_room_for_sockets
from legseg_bids.workflows.monitor import measuring

#: Seconds in which a worker may remove its temporary files before it is killed.
GRACE = 5.0
STOPPED = 128 + signal.SIGTERM
Result = dict[str, Any]


class ResilientMultiProc(MultiProcPlugin):
    """Parallel plug-in; arguments as for ``MultiProc``, plus ``verbosity`` and ``monitor``.

    ``monitor`` is the file into which :func:`measuring` writes, or None.
    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        make_room_for_sockets()
        super().__init__(plugin_args=plugin_args)
        self.pool.shutdown()
        self.pool: ProcessPoolExecutor = self._new_pool(self.processors)
        self._alone: dict[int, ProcessPoolExecutor] = {}
        self._submitted: dict[int, tuple[Any, bool]] = {}

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run the graph; whatever ends it early also ends the workers."""
        # nipype collects garbage in every round, which takes longer than the round where it must
        # look at all modules and at the graph of hundreds of images: set those aside.
        gc.collect()
        gc.freeze()
        try:
            super().run(graph, config, updatehash=updatehash)
        except BaseException:
            _end([self.pool, *self._alone.values()])
            raise
        finally:
            gc.unfreeze()

    def _new_pool(self, workers: int) -> ProcessPoolExecutor:
        context = self.plugin_args.get("mp_context", "forkserver")
        return ProcessPoolExecutor(
            max_workers=workers,
            mp_context=multiprocessing.get_context(context),
            initializer=_start_worker,
            initargs=(self._cwd, self.plugin_args.get("verbosity", 0)),
        )

    def _sort_jobs(self, jobids: Iterable[int], **_: object) -> list[int]:
        """Those of the image, or set of images, that came first: finish it before many begin."""
        first: dict[str, int] = {}
        for number, node in enumerate(self.procs):
            first.setdefault(_set_of(node), number)
        return sorted(jobids, key=lambda job: (first[_set_of(self.procs[job])], job))

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        taskid = int(self._taskid)
        self._submitted[taskid] = (node, updatehash)
        try:
            self._submit_to(self.pool, taskid)
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = self._new_pool(self.processors)
            self._submit_to(self.pool, taskid)
        return taskid

    def _submit_to(self, pool: ProcessPoolExecutor, taskid: int) -> None:
        monitor = self.plugin_args.get("monitor")
        task = pool.submit(_run_in_worker, *self._submitted[taskid], taskid, monitor)
        task.add_done_callback(self._async_callback)
        self._task_obj[taskid] = task

    def _async_callback(self, args: Future[Result]) -> None:
        if not args.cancelled() and args.exception() is None:
            super()._async_callback(args)

    def _get_result(self, taskid: int) -> Result | None:
        task = self._task_obj[taskid]
        error = task.exception() if task.done() else None
        if error is None:
            result: Result | None = super()._get_result(taskid)
            return result
        if isinstance(error, BrokenProcessPool) and taskid not in self._alone:
            self._try_alone(taskid)
            return None
        return {"result": None, "traceback": format_exception(error), "taskid": taskid}

    def _try_alone(self, taskid: int) -> None:
        """Once more, where neither harms nor is harmed by another step."""
        if self._status_callback:
            self._status_callback(self._submitted[taskid][0], "retry")
        self._alone[taskid] = self._new_pool(1)
        self._submit_to(self._alone[taskid], taskid)

    def _clear_task(self, taskid: int) -> None:
        super()._clear_task(taskid)
        # nipype keeps every result; with hundreds of images that is the memory of one more.
        self._taskresult.pop(taskid, None)
        del self._submitted[taskid]
        if taskid in self._alone:
            self._alone.pop(taskid).shutdown(wait=False)


def _set_of(node: Any) -> str:
    """The graph's part that a node belongs to: an image, or images that are located together."""
    return ".".join(str(node._hierarchy).split(".")[:2])


def _end(pools: Iterable[ProcessPoolExecutor]) -> None:
    """End all workers: politely, so that they clean up; after a while, in any case."""
    workers: list[Any] = []
    for pool in pools:
        workers += (pool._processes or {}).values()
        pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            worker.kill()


# ------------------------------------------------------------------------ in a worker


class _Stop:
    """SIGTERM in a worker: clean up as after an exception, then end, whoever catches it."""

    requested = False

    def __call__(self, _signum: int, _frame: object) -> NoReturn:
        self.requested = True
        raise SystemExit(STOPPED)


def _start_worker(folder: str, verbosity: int) -> None:
    """First thing in each worker: the folder and nipype's settings of the main process."""
    from legseg_bids.workflows.nipype_settings import configure_nipype

    # Ctrl-C reaches every process of a terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _Stop())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.chdir(folder)
    configure_nipype(verbosity)


def _die_with_parent() -> None:
    """A main process that was killed cannot end its workers, so each watches it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


def _run_in_worker(node: Any, updatehash: bool, taskid: int, monitor: Path | None) -> Result:
    """Run a step; nipype catches everything, so whether to end is asked afterwards."""
    watched: AbstractContextManager[None] = nullcontext()
    if monitor is not None:
        watched = measuring(monitor, str(node.fullname))
    with watched:
        result: Result = run_node(node, updatehash, taskid)
    if getattr(signal.getsignal(signal.SIGTERM), "requested", False):
        os._exit(STOPPED)
    return result
