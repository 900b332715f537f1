"""nipype's parallel plug-in, made to survive the death of a worker.

When the kernel kills a worker (mostly for want of memory), the pool of processes is broken:
nipype's own plug-in loses the result and waits for it for ever. Here each image that was in
the pool at that time is reported as failed, and the others go on in a new pool.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from traceback import format_exception
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin


class ResilientMultiProc(MultiProcPlugin):
    """Parallel plug-in; arguments as for ``MultiProc``, plus ``verbosity``."""

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args=plugin_args)
        self.pool.shutdown()
        self.pool: ProcessPoolExecutor = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        context = self.plugin_args.get("mp_context", "forkserver")
        return ProcessPoolExecutor(
            max_workers=self.processors,
            mp_context=multiprocessing.get_context(context),
            initializer=_start_worker,
            initargs=(self._cwd, self.plugin_args.get("verbosity", 0)),
        )

    def _sort_jobs(self, jobids: Iterable[int], **_: object) -> list[int]:
        """Those of the image that came first: finish one before many are begun."""
        first: dict[str, int] = {}
        for number, node in enumerate(self.procs):
            first.setdefault(node._hierarchy, number)
        return sorted(jobids, key=lambda job: (first[self.procs[job]._hierarchy], job))

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        try:
            taskid: int = super()._submit_job(node, updatehash=updatehash)
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = self._new_pool()
            taskid = super()._submit_job(node, updatehash=updatehash)
        return taskid

    def _async_callback(self, args: Future[dict[str, Any]]) -> None:
        error = args.exception()
        if error is None:
            super()._async_callback(args)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        result: dict[str, Any] | None = super()._get_result(taskid)
        task = self._task_obj[taskid]
        if result is None and task.done() and (error := task.exception()) is not None:
            return {"result": None, "traceback": format_exception(error), "taskid": taskid}
        return result


def _start_worker(folder: str, verbosity: int) -> None:
    """First thing in each worker: the folder and nipype's settings of the main process."""
    from legseg_bids.workflows.nipype_settings import configure_nipype

    os.chdir(folder)
    configure_nipype(verbosity)
