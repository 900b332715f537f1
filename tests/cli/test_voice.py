from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from legseg_bids.cli import voice
from legseg_bids.cli.voice import Lines, choose_voice, undisturbed
from legseg_bids.workflows.outcomes import Outcome, Status

RUN = Path(__file__).parents[2] / "run.py"


def ignore() -> None: ...


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, term: str = "xterm") -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(voice, "in_foreground", lambda stream: True)
    monkeypatch.setenv("TERM", term)


def test_progress_and_results_have_a_stream_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(ignore)
    with lines:
        lines.say("begun")
        lines.step("at it")
        lines.tell(Outcome("a.nii", Status.SEGMENTED, "b.nii", ("look",)))
    assert capsys.readouterr() == ("SEGMENTED: a.nii: b.nii\n  warning: look\n", "begun\nat it\n")


def test_whoever_told_the_run_to_stop_is_heeded_before_each_line_of_progress() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    lines = Lines(stop)
    for speak in (lines.say, lines.step):
        with pytest.raises(KeyboardInterrupt):
            speak("going on")
    lines.tell(Outcome("a", Status.FAILED))


@pytest.mark.parametrize(
    ("term", "verbosity", "wanted", "expected"),
    [
        ("xterm", 0, True, "Display"),
        ("xterm", 1, True, "Display"),
        ("xterm", 2, True, "Lines"),
        ("xterm", 0, False, "Lines"),
        ("dumb", 0, True, "Lines"),
        ("", 0, True, "Lines"),
    ],
)
def test_a_display_where_one_can_be_shown(
    monkeypatch: pytest.MonkeyPatch, term: str, verbosity: int, wanted: bool, expected: str
) -> None:
    on_a_terminal(monkeypatch, term)
    assert type(choose_voice(ignore, verbosity, display=wanted)).__name__ == expected


def test_lines_in_the_background_and_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setattr(voice, "in_foreground", lambda stream: False)
    assert type(choose_voice(ignore)) is Lines
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert type(choose_voice(ignore)) is Lines


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("stop"))
    # Whichever thread the system hands the signal to.
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            heard.append("done")
        assert heard == ["done", "stop"]
    finally:
        signal.signal(signal.SIGTERM, before)
        ended.set()
        other.join()


def test_what_handles_signals_is_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with undisturbed():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_goes_on_when_nobody_reads_any_more(
    tmp_path: Path, bids_dir: Path, tiny_models: Path, stream: str
) -> None:
    """As with ``legseg ... | head -1``: the images are worth more than the lines."""
    words = [bids_dir, tmp_path / "out", "participant", "--models", tiny_models]
    words += ["--skip-bids-validation", "--device", "cpu", "--nprocs", "1", "--no-reports"]
    read, write = os.pipe()
    os.close(read)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: write}
    done = subprocess.run(
        [sys.executable, RUN, *words], check=False, text=True, timeout=120, **pipes
    )
    os.close(write)
    assert done.returncode == 0
    assert "Traceback" not in (done.stderr or "")
    assert len(list((tmp_path / "out").rglob("*_dseg.nii.gz"))) == 1
