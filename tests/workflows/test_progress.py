from __future__ import annotations

from types import SimpleNamespace

from legseg_bids.workflows.board import Board
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.progress import Progress, Verdicts


def node(workflow: str, step: str) -> SimpleNamespace:
    return SimpleNamespace(fullname=f"legseg_wf.{workflow}.{step}")


def steps(verbosity: int) -> list[str]:
    lines: list[str] = []
    names = {"one_wf": "sub-01_T1w", "two_wf": "sub-02\n_T1w"}
    progress = Progress(names, lines.append, verbosity)
    for workflow in ("one_wf", "two_wf"):
        for step in ("prepare", "locate", "segment"):
            progress(node(workflow, step), "start")
            progress(node(workflow, step), "end")
    progress(node("one_wf", "draw"), "end")
    progress(node("two_wf", "merge"), "retry")
    progress(node("two_wf", "merge"), "exception")
    progress(node("other_wf", "merge"), "exception")
    return lines


def test_progress_names_the_image_its_number_and_the_step() -> None:
    lines = steps(0)
    assert len(lines) == 7
    assert lines[0] == "[0:00:00] (1/2) sub-01_T1w: reading and preparing"
    assert lines[3].endswith("(2/2) sub-02\\n_T1w: segmenting")
    assert "done in 0:00:00; 1 of 2 images done, about 0:00:00 left" in lines[4]
    assert "the process was killed; once more, alone" in lines[5]
    assert lines[6].endswith("merging labels FAILED after 0:00:00; 2 of 2 images done")


def test_progress_is_lines_without_control_characters() -> None:
    """A log file shows what a terminal shows: nothing is written over."""
    assert all(line.isprintable() for line in steps(1))


def test_verbose_progress_tells_every_step() -> None:
    assert any("locating" in line for line in steps(1))
    assert not any("locating" in line for line in steps(0))


def test_remaining_time_is_that_of_the_images_not_done_at_the_pace_so_far() -> None:
    lines: list[str] = []
    seconds = iter([0.0, 0.0, 10.0, 20.0, 100.0, 130.0])
    names = {f"{n}_wf": f"sub-{n}" for n in range(5)}
    progress = Progress(names, lines.append, board=Board(clock=lambda: next(seconds)))
    progress(node("0_wf", "prepare"), "start")
    progress(node("1_wf", "prepare"), "start")
    progress(node("0_wf", "draw"), "end")
    progress(node("1_wf", "draw"), "end")
    assert lines[2].endswith("done in 0:01:30; 1 of 5 images done, about 0:06:40 left")
    assert lines[3].endswith("done in 0:01:50; 2 of 5 images done, about 0:03:15 left")


def test_an_image_that_was_interrupted_is_not_called_done() -> None:
    lines: list[str] = []
    progress = Progress({"a_wf": "a"}, lines.append)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        progress(node("a_wf", "draw"), "end")
    assert lines == []


def test_an_image_fails_once_however_many_of_its_steps_do() -> None:
    lines: list[str] = []
    progress = Progress({"a_wf": "a", "b_wf": "b"}, lines.append)
    progress(node("a_wf", "locate"), "exception")
    progress(node("a_wf", "measure"), "exception")
    assert len(lines) == 1


def test_the_board_shows_the_step_of_each_image_and_who_waits() -> None:
    board = Board()
    progress = Progress({"a_wf": "a", "b_wf": "b"}, ignore, board=board)
    progress(node("a_wf", "prepare"), "start")
    progress(node("b_wf", "prepare"), "start")
    progress(node("a_wf", "prepare"), "end")
    assert [(work.name, work.doing) for work in board.at_work()] == [
        ("a", "waiting"),
        ("b", "reading and preparing"),
    ]
    progress(node("a_wf", "draw"), "end")
    progress(node("a_wf", "draw"), "start")
    assert [work.name for work in board.at_work()] == ["b"]
    assert (board.through, board.images) == (1, 2)


def ignore(line: str) -> None: ...


class Disk:
    """Where results and crash files appear, and what a judge makes of them."""

    def __init__(self, *workflows: str) -> None:
        self.there: dict[str, Outcome] = {}
        self.heard: list[Outcome] = []
        judges = {name: lambda name=name: self.there.get(name) for name in workflows}
        self.verdicts = Verdicts(judges, self.heard.append)

    def put(self, name: str, status: Status = Status.SEGMENTED) -> Outcome:
        self.there[name] = Outcome(name, status)
        return self.there[name]


def test_a_result_is_told_when_its_last_step_ends_and_once() -> None:
    disk = Disk("a", "b")
    disk.verdicts(node("a", "write"), "end")
    made = disk.put("a")
    disk.verdicts(node("a", "measure"), "end")
    assert disk.heard == []
    disk.verdicts(node("a", "draw"), "end")
    disk.verdicts(node("a", "draw"), "end")
    disk.verdicts.close(["a"], lambda name: Outcome(name, Status.FAILED))
    assert disk.heard == [made]
    assert disk.verdicts.made == {"a": made}


def test_a_failure_is_told_as_soon_as_its_reason_is_there() -> None:
    """nipype calls before it writes the crash file."""
    disk = Disk("a", "b")
    disk.verdicts(node("a", "locate"), "exception")
    disk.verdicts(node("b", "prepare"), "start")
    assert disk.heard == []
    failed = disk.put("a", Status.FAILED)
    disk.verdicts(node("other", "prepare"), "start")
    assert disk.heard == [failed]
    disk.verdicts(node("b", "locate"), "exception")
    disk.put("b", Status.FAILED)
    disk.verdicts.settle()
    assert len(disk.heard) == 2


def test_at_the_end_everything_is_told() -> None:
    disk = Disk("a", "b")
    made = disk.put("b")
    disk.verdicts.close(["a", "b"], lambda name: Outcome(name, Status.FAILED, "not reached"))
    assert disk.heard == [Outcome("a", Status.FAILED, "not reached"), made]


def test_an_interruption_is_no_result() -> None:
    disk = Disk("a")
    disk.put("a")
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        disk.verdicts(node("a", "draw"), "end")
    assert disk.heard == []
