"""What the lines of a run say about how far it is."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from legseg_bids.desk.progress import Job
from legseg_bids.workflows.board import Board
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.progress import Progress


def job(seconds: list[float] | None = None) -> Job:
    now = seconds if seconds is not None else [0.0]
    return Job("1", "run", clock=lambda: now[0])


def test_the_lines_of_a_real_run_are_understood() -> None:
    """By the very object that says them: a change of its words must not go unnoticed."""
    now, told = [0.0], job()
    names = {f"{n}_wf": f"sub-{n}_T1w" for n in (1, 2, 3)}
    say = Progress(names, told.read, board=Board(clock=lambda: now[0]))

    def step(number: int, name: str, status: str, at: float) -> None:
        now[0] = at
        say(SimpleNamespace(fullname=f"legseg_wf.{number}_wf.{name}"), status)

    step(1, "prepare", "start", 1)
    assert (told.done, told.total, told.line) == (0, 3, "sub-1_T1w: reading and preparing")
    step(1, "draw", "end", 60)
    assert (told.done, told.total, told.line) == (1, 3, "sub-1_T1w: done in 0:00:59")
    assert told.as_dict()["seconds_left"] == 120
    step(2, "segment", "start", 60)
    step(2, "segment", "exception", 100)
    assert (told.done, told.line) == (2, "sub-2_T1w: segmenting FAILED after 0:00:40")
    step(3, "draw", "end", 130)
    assert told.done == told.total == 3


def test_results_are_understood() -> None:
    told = job()
    outcomes = [
        Outcome("sub-01/anat/a.nii.gz", Status.SEGMENTED, "out.nii.gz", ("look: at it", "again")),
        Outcome("sub-02", Status.MERGED, "2 stations merged: x"),
        Outcome("b.nii.gz", Status.FAILED, "it is empty; expected an image"),
        Outcome("c.nii.gz", Status.DONE),
    ]
    for outcome in outcomes:
        for line in str(outcome).split("\n"):
            told.read_result(line)
    told.read_result("legseg-bids: exit code 1: 1 segmented, 1 failed")
    expected = [
        {
            "image": o.image,
            "status": str(o.status),
            "message": o.message,
            "warnings": [*o.warnings],
        }
        for o in outcomes
    ]
    assert told.outcomes == expected
    assert told.reason == "1 segmented, 1 failed"


def test_series_that_are_converted() -> None:
    told = Job("1", "convert")
    told.read("[3/12] t1_dixon")
    assert (told.done, told.total, told.line) == (2, 12, "t1_dixon")


def test_time_left_stands_still_while_the_machine_sleeps() -> None:
    now = [100.0]
    told = job(now)
    told.read("[0:01:00] (1/2) a: done in 0:01:00; 1 of 2 images done, about 1:01:01 left")
    assert told.as_dict()["seconds_left"] == 3661
    now[0] += 61
    assert told.as_dict()["seconds_left"] == 3600
    now[0] += 10_000
    assert told.as_dict()["seconds_left"] == 0


def test_the_end() -> None:
    told = job()
    told.read("[0:00:01] (1/2) a: segmenting")
    told.end("done", "2 segmented")
    shown = told.as_dict()
    assert (shown["done"], shown["total"], shown["seconds_left"]) == (2, 2, None)
    assert (shown["state"], shown["line"]) == ("done", "2 segmented")


@settings(max_examples=40)
@given(st.lists(st.text() | st.from_regex(r"\[\d+/\d+\] .*|\[\d:\d\d:\d\d\] \(\d/\d\) .*")))
def test_any_line_will_do(lines: list[str]) -> None:
    told = job()
    for line in lines:
        told.read(line)
        told.read_result(line)
    shown = told.as_dict()
    assert shown["line"].isprintable()
    assert len(shown["line"]) <= 500
    assert shown["done"] >= 0
