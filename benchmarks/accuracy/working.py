"""Compute what a table lacks, in one process or in several, and tell how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np

from benchmarks.accuracy.bench import Bench, Source
from benchmarks.accuracy.studies import STUDIES
from benchmarks.accuracy.tables import Row, Table, Task, task_of
from legseg_bids.evaluate.answers import LEAST_VOLUME

#: The bench of this process, where it is a worker.
_BENCH: list[Bench] = []
#: Computes the rows of a task of a study.
Work = Callable[[str, Task, str | None], list[Row]]


def fill(
    table: Table, study: str, tasks: Sequence[Task], also: str | None, source: Source, workers: int
) -> None:
    """Compute the tasks that a table lacks; whatever is finished is in its file at once.

    Parameters
    ----------
    table : Table
    study : str
        Name in :data:`.studies.STUDIES`.
    tasks : sequence of Task
    also : str or None
        The contrast that is fed as well.
    source : Source
        Of the bench that every process loads.
    workers : int
        Processes, of one thread each; with one, this process.
    """
    same = STUDIES[study].same
    done = table.done
    left = [task for task in tasks if task not in done]
    progress = Progress(study, len(tasks), len(left))
    known = {same(task): rows_of(table, task) for task in tasks if task in done}
    twins: dict[Hashable, list[Task]] = {}
    for task in left:
        twins.setdefault(same(task), []).append(task)
    for task in left:
        if same(task) in known:
            table.add(task, known[same(task)])
            progress.tell(task, known[same(task)])
    first = [group[0] for key, group in twins.items() if key not in known]
    for one, rows in _computed(study, first, also, source, min(workers, len(first))):
        for task in twins[same(one)]:
            table.add(task, rows)
            progress.tell(task, rows)
    table.finish(tasks)


def rows_of(table: Table, task: Task) -> list[Row]:
    """Rows of a task, without its name."""
    return [
        {key: value for key, value in row.items() if key not in ("factor", "value", "person")}
        for row in table.rows
        if task_of(row) == task
    ]


def _computed(
    study: str, tasks: Sequence[Task], also: str | None, source: Source, workers: int
) -> Iterator[tuple[Task, list[Row]]]:
    if not tasks:
        return
    if workers <= 1:
        _begin(source)
        for task in tasks:
            yield task, _rows(study, task, also)
        return
    # A fork would share the state of the libraries' threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin_beside, (source,)) as pool:
        waiting = {pool.submit(_rows, study, task, also): task for task in tasks}
        try:
            for one in as_completed(waiting):
                yield waiting[one], one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin_beside(source: Source) -> None:
    """In a process of its own, which ends with the one that started it, also when it is killed."""
    from legseg_bids.train.workers import begin

    begin(0)
    _begin(source)


def _begin(source: Source) -> None:
    import torch

    torch.set_num_threads(1)
    _BENCH[:] = [Bench.load(source)]


def _rows(study: str, task: Task, also: str | None) -> list[Row]:
    one = STUDIES[study]
    return one.rows(_BENCH[0], one.case(task), task.person, also)


class Progress:
    """A line on the standard error for each task that is finished."""

    def __init__(self, study: str, all_tasks: int, left: int) -> None:
        self.study, self.all, self.left = study, all_tasks, left
        self.before, self.done, self.start = all_tasks - left, 0, time.monotonic()
        if self.before:
            print(f"{study}: {self.before} of {all_tasks} are there already", file=sys.stderr)

    def tell(self, task: Task, rows: Sequence[Row]) -> None:
        """Say what was finished, and how long the others will take."""
        self.done += 1
        rest = (time.monotonic() - self.start) / self.done * (self.left - self.done)
        dice = [row["dice"] for row in rows if "dice" in row and row["volume"] >= LEAST_VOLUME]
        what = f", Dice {np.mean(dice):.3f}" if dice else ""
        print(
            f"{self.study} {self.before + self.done}/{self.all}: {task.factor} {task.value}, "
            f"person {task.person}{what}; about {rest / 60:.0f} min left",
            file=sys.stderr,
        )
