"""Many tasks, one after the other in each of some processes, whatever becomes of one of them.

The main process knows at any time which task each worker has. So if the system ends a worker
(mostly for want of memory) it is known whose fault it was: that task is tried once more at the
end, when nothing else runs; ended again, it is reported, and all others have their results.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from legseg_bids.bids.sockets import make_room_for_sockets

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Seconds in which a worker may end by itself before it is killed.
GRACE = 5.0


@dataclass(frozen=True)
class Died:
    """The process of a task ended before the task did.

    Attributes
    ----------
    code : int or None
        Exit code; negative: the signal that ended it.
    """

    code: int | None

    def __str__(self) -> str:
        if self.code is not None and self.code < 0:
            return f"the system ended its process ({signal.Signals(-self.code).name})"
        return f"its process ended with code {self.code}"


class _Worker(Generic[Task, Result]):
    """A process that does tasks."""

    def __init__(self, work: Callable[[Task], Result]) -> None:
        make_room_for_sockets()
        context = multiprocessing.get_context("forkserver")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, work), daemon=True
        )
        self.process.start()
        theirs.close()

    def give(self, task: Task) -> None:
        """Hand over a task; a process that has ended is noticed when its answer is due."""
        with suppress(OSError):
            self.connection.send(task)

    def answer(self) -> Result | Died:
        """Wait for what became of the task."""
        try:
            return self.connection.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            self.process.join(GRACE)
            return Died(self.process.exitcode)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self.process.terminate()
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def each(
    tasks: Iterable[Task], work: Callable[[Task], Result], workers: int
) -> Iterator[tuple[Task, Result | Died]]:
    """Do every task; results come as they are ready.

    Parameters
    ----------
    tasks : iterable
    work : callable
        A function of a module, since processes import it.
    workers : int
        Processes; 0 does everything in this one.

    Yields
    ------
    task, result
        A :class:`Died` if the process of the task was ended twice.
    """
    if workers < 1:
        yield from ((task, work(task)) for task in tasks)
        return
    again: list[Task] = []
    for task, result in _together(deque(tasks), work, workers):
        if isinstance(result, Died):
            again.append(task)
        else:
            yield task, result
    for task in again:
        yield from _together(deque([task]), work, 1)


def _together(
    tasks: deque[Task], work: Callable[[Task], Result], workers: int
) -> Iterator[tuple[Task, Result | Died]]:
    busy: dict[object, tuple[_Worker[Task, Result], Task]] = {}
    try:
        while tasks and len(busy) < workers:
            _begin(busy, _Worker(work), tasks.popleft())
        while busy:
            for ready in wait([worker.connection for worker, _ in busy.values()]):
                worker, task = busy.pop(ready)
                result = worker.answer()
                if isinstance(result, Died) or not tasks:
                    worker.end()
                if tasks:
                    fresh = _Worker(work) if isinstance(result, Died) else worker
                    _begin(busy, fresh, tasks.popleft())
                yield task, result
    finally:
        for worker, _ in busy.values():
            worker.end()


def _begin(
    busy: dict[object, tuple[_Worker[Task, Result], Task]],
    worker: _Worker[Task, Result],
    task: Task,
) -> None:
    worker.give(task)
    busy[worker.connection] = worker, task


# ------------------------------------------------------------------------ in a worker


def _serve(connection: Connection, work: Callable[[Task], Result]) -> None:
    """Do what is asked until nobody asks any more, also because the main process is gone."""
    # Ctrl-C reaches every process of a terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        result = work(task)
        try:
            connection.send(result)
        except OSError:
            return
