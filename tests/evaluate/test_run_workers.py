from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from legseg_bids.evaluate.workers import Died, each


def square(number: int) -> int:
    return number * number


def fatal_for(bad: int, number: int) -> int:
    """End the process of one task, as the system does for want of memory."""
    if number == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def fatal_once(marks: Path, number: int) -> int:
    """End the process the first time that this task is tried."""
    mark = marks / str(number)
    if number == 1 and not mark.exists():
        mark.touch()
        os._exit(3)
    return number * number


def slow(number: int) -> int:
    time.sleep(30 if number else 0)
    return os.getpid()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_task_is_done_once(workers: int) -> None:
    assert dict(each(range(5), square, workers)) == {n: n * n for n in range(5)}


def test_the_task_that_is_killed_twice_is_told_and_the_others_are_done() -> None:
    done = dict(each(range(5), partial(fatal_for, 2), 2))
    assert str(done.pop(2)) == "the system ended its process (SIGKILL)"
    assert done == {n: n * n for n in (0, 1, 3, 4)}


def test_the_task_that_is_killed_once_is_tried_again(tmp_path: Path) -> None:
    done = list(each(range(4), partial(fatal_once, tmp_path), 2))
    assert done[-1] == (1, 1)
    assert dict(done) == {n: n * n for n in range(4)}


def test_exit_codes_are_told() -> None:
    assert str(Died(3)) == "its process ended with code 3"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_whoever_stops_listening_ends_the_workers() -> None:
    results = each([0, 1, 1], slow, 2)
    _, process = next(results)
    assert Path(f"/proc/{process}").exists()
    results.close()
    assert not Path(f"/proc/{process}").exists()
