"""The display, on a terminal of its own; without pyte, what does not need to see the screen."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from skeleton import outphase_dataset

from legseg_bids.cli.display import foot
from legseg_bids.workflows.board import Board
from legseg_bids.workflows.outcomes import Outcome, Status

pytest.importorskip("pyte")
from terminal import CTRL_C, Terminal, on_terminal

RUN = Path(__file__).parents[2] / "run.py"
IMAGES = 3
BROKEN = "sub-02/anat/sub-02_acq-outphase_T1w.nii.gz"
MANY = 20
"""Images of a run that is long enough for the display to be seen, on a fast machine, too."""
SUMMARY = "legseg-bids: exit code 1: {} segmented, 1 failed"


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def busy() -> Board:
    """Ten images, four through, three in work, after 100 s."""
    clock = Clock()
    board = Board(clock)
    board.expect(10, now=0.0)
    for number in range(4):
        board.begin(str(number), f"sub-{number}", "segmenting", 0.0)
        board.finish(str(number), now=80.0)
        board.count(Outcome(str(number), Status.FAILED if number == 3 else Status.SEGMENTED))
    for number, doing in ((4, "segmenting"), (5, "locating limbs"), (6, "waiting")):
        board.begin(str(number), f"sub-0{number}_acq-outphase_T1w", doing, 90.0)
    board.count(Outcome("x", Status.DONE))
    clock.now = 100.0
    return board


def plain(lines: list[Any]) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def test_the_foot_shows_how_far_the_run_is(busy: Board) -> None:
    assert plain(foot(busy, 100, 20)) == [
        "████████████░░░░░░░░░░░░░░░░░░  4/10 images  0:01:40  about 0:01:40 left",
        "3 segmented · 1 skipped because done · 1 failed",
        "  0:00:10  sub-04_acq-outphase_T1w  segmenting",
        "  0:00:10  sub-05_acq-outphase_T1w  locating limbs",
        "  0:00:10  sub-06_acq-outphase_T1w  waiting",
    ]


def test_a_terminal_that_knows_no_other_letters(busy: Board) -> None:
    lines = plain(foot(busy, 100, 20, plain=True))
    assert lines[0].startswith("############..................  4/10")
    assert "".join(lines).isascii()


@pytest.mark.parametrize("width", [1, 5, 20, 44, 300])
@pytest.mark.parametrize("height", range(1, 8))
def test_there_are_never_more_lines_than_fit(busy: Board, width: int, height: int) -> None:
    lines = plain(foot(busy, width, height))
    assert 1 <= len(lines) <= height
    assert "4/10 images" in lines[0]


def test_images_that_do_not_fit_are_counted(busy: Board) -> None:
    assert plain(foot(busy, 100, 5))[-2:] == [
        "  0:00:10  sub-04_acq-outphase_T1w  segmenting",
        "  and 2 more",
    ]


def test_before_images_are_known_the_foot_shows_the_stage() -> None:
    board = Board(Clock())
    board.stage = "validating the input"
    assert plain(foot(board, 80, 20)) == ["validating the input  0:00:00"]


# ---------------------------------------------------------------- on a terminal


def command_line(bids: Path, models: Path, images: int) -> list[str]:
    """Of a run over so many images, of which the second is broken."""
    outphase_dataset(bids, images)
    (bids / BROKEN).write_bytes(b"")
    options = ["--models", str(models), "--skip-bids-validation", "--device", "cpu"]
    options += ["--nprocs", "1", "--no-reports"]
    return [sys.executable, str(RUN), str(bids), "out", "participant", *options]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> list[str]:
    return command_line(tmp_path_factory.mktemp("shown") / "bids", tiny_models, IMAGES)


@pytest.fixture(scope="module")
def many_words(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> list[str]:
    return command_line(tmp_path_factory.mktemp("shown") / "bids", tiny_models, MANY)


def watch(terminal: Terminal) -> list[str]:
    """Every line that was seen on the screen before the run ended."""
    seen: list[str] = []
    while terminal.look():
        seen += terminal.shown()
    return seen


def test_what_is_going_on_stands_below_what_became_of_each_image(
    many_words: list[str], tmp_path: Path
) -> None:
    with on_terminal(many_words, tmp_path, size=(160, 60)) as terminal:
        seen = "\n".join(watch(terminal))
        assert terminal.end() == 1
    assert re.search(rf"█+░+  \d+/{MANY} images  0:00:\d\d  about 0:00:\d\d left", seen)
    assert re.search(r"  0:00:\d\d  sub-\d\d_acq-outphase_T1w  \w+", seen)
    assert re.search(r"\d+ segmented · 1 failed", seen)
    left = terminal.shown()
    assert left[-1] == SUMMARY.format(MANY - 1)
    assert not any("images" in line or "left" in line for line in left)
    assert [line.split(":")[0] for line in left[1:-1] if line[0].isupper()] == [
        "SEGMENTED",
        "FAILED",
        *["SEGMENTED"] * (MANY - 2),
    ]
    assert "is empty (0 bytes)" in " ".join(left)
    assert "reading and preparing" not in terminal.text()
    assert terminal.cursor_is_shown


@pytest.mark.parametrize(
    ("changes", "has", "has_not"),
    [
        ({"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}, b"####", rb"\x1b\[[0-9;]*3[0-7]m|\xe2"),
        ({"TERM": "dumb"}, b"reading and preparing", rb"\x1b"),
    ],
    ids=["no-colour-and-ascii", "dumb"],
)
def test_terminals_that_can_do_less(
    words: list[str], tmp_path: Path, changes: dict[str, str], has: bytes, has_not: bytes
) -> None:
    with on_terminal(words, tmp_path, **changes) as terminal:
        assert terminal.end() == 1
    assert re.search(has, terminal.received)
    assert not re.search(has_not, terminal.received)
    assert terminal.shown()[-1] == SUMMARY.format(IMAGES - 1)


def test_windows_of_any_size_also_while_it_runs(many_words: list[str], tmp_path: Path) -> None:
    with on_terminal(many_words, tmp_path, size=(40, 8)) as terminal:
        terminal.wait_for("images")
        for size in ((12, 4), (3, 2), (1, 1), (200, 60)):
            terminal.resize(*size)
            os.kill(terminal.process.pid, signal.SIGWINCH)
            until = time.monotonic() + 0.7
            while time.monotonic() < until and terminal.look():
                pass
        assert terminal.end() == 1
    assert b"Traceback" not in terminal.received
    # A window of one cell may leave a torn line, also below.
    assert SUMMARY.format(MANY - 1) in terminal.shown()


@pytest.mark.parametrize(("how", "code"), [("ctrl-c", 130), ("term", 143)])
def test_an_interrupted_run_leaves_the_terminal_in_order(
    many_words: list[str], tmp_path: Path, how: str, code: int
) -> None:
    with on_terminal(many_words, tmp_path) as terminal:
        terminal.wait_for(r"\d segmented")
        if how == "ctrl-c":
            terminal.press(CTRL_C)
            terminal.press(CTRL_C)
        else:
            terminal.process.send_signal(signal.SIGTERM)
        assert terminal.end() == code
        assert terminal.echoes()
    assert terminal.cursor_is_shown
    *before, last = terminal.shown()
    assert last.startswith(f"legseg-bids: exit code {code}: ")
    assert any(re.match(r"so far: \d+ segmented", line) for line in before)
    assert not any("images" in line for line in before)
    assert b"Traceback" not in terminal.received


def test_results_go_where_the_standard_output_goes(words: list[str], tmp_path: Path) -> None:
    shell = ["sh", "-c", 'exec "$@" > results.txt', "sh", *words]
    with on_terminal(shell, tmp_path) as terminal:
        assert terminal.end() == 1
    results = (tmp_path / "results.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in results[:-1]].count("SEGMENTED") == IMAGES - 1
    assert results[-1] == SUMMARY.format(IMAGES - 1)
    assert "\x1b" not in "".join(results)
    assert "SEGMENTED" not in terminal.text()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_the_background_nothing_is_drawn(many_words: list[str], tmp_path: Path) -> None:
    """Ctrl-Z and ``bg``: the terminal belongs to the shell again."""
    with on_terminal(["bash", "--norc", "--noprofile", "-i"], tmp_path, PS1="READY>") as terminal:
        terminal.wait_for("READY>")
        terminal.press(f"{' '.join(many_words)}; exit\n".encode())
        terminal.wait_for(r"\d segmented")
        terminal.press(b"\x1a")
        terminal.wait_for("Stopped")
        start = len(terminal.received)
        terminal.press(b"bg\n")
        terminal.wait_for("exit code 1")
    assert b"images" not in terminal.received[start:]
    assert b"SEGMENTED" in terminal.received[start:]
