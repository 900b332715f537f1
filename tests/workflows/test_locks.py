from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from legseg_bids.errors import OutputError
from legseg_bids.workflows.locks import claim

HOLD = """
import sys, time
from pathlib import Path
from legseg_bids.workflows.locks import claim
with claim(Path(sys.argv[1]), sys.argv[2:]) as claims:
    print(*sorted(claims.mine), flush=True)
    time.sleep(60)
"""


def hold(out: Path, *subjects: str) -> subprocess.Popen[str]:
    """Another process that claims these participants and keeps them."""
    command = [sys.executable, "-c", HOLD, str(out), *subjects]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().split() == sorted(subjects)
    return process


def test_what_nobody_holds_is_claimed_and_leaves_no_file(tmp_path: Path) -> None:
    with claim(tmp_path, ["02", "01"]) as claims:
        assert claims == (frozenset({"01", "02"}), {})
        assert len(list(tmp_path.rglob(".lock"))) == 2
    assert not list(tmp_path.rglob(".lock"))


def test_who_comes_second_is_told_who_was_first(tmp_path: Path) -> None:
    other = hold(tmp_path, "01")
    with claim(tmp_path, ["01", "02"]) as claims:
        assert claims.mine == {"02"}
        assert f"process {other.pid} on " in claims.busy["01"]
    assert list(tmp_path.rglob(".lock")) == [tmp_path / "logs" / "sub-01" / ".lock"]
    other.kill()
    other.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_process_holds_nothing(tmp_path: Path, how: signal.Signals) -> None:
    other = hold(tmp_path, "01")
    other.send_signal(how)
    other.wait()
    with claim(tmp_path, ["01"]) as claims:
        assert claims.mine == {"01"}


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    with claim(tmp_path, ["01"]):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with claim(tmp_path, ["01"]) as claims:
        assert claims.mine == {"01"}
    child.communicate(b"\n")


def test_never_two_at_a_time_however_often_files_come_and_go(tmp_path: Path) -> None:
    """Without a second look at the name, two threads hold two files of the same name."""
    inside, clashes, wins = [0], [0], [0]
    lock = threading.Lock()

    def work() -> None:
        for _ in range(200):
            with claim(tmp_path, ["01"]) as claims:
                if not claims.mine:
                    continue
                with lock:
                    inside[0] += 1
                    wins[0] += 1
                    clashes[0] += inside[0] > 1
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == [0]
    assert wins[0] > 0


@pytest.mark.parametrize(("hard", "locked"), [(4096, 700), (400, 200), (100, 0)])
def test_more_participants_than_files_may_be_open(tmp_path: Path, hard: int, locked: int) -> None:
    """Each lock is an open file: room is asked for, and what is left is kept for the images."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from legseg_bids.workflows.locks import claim\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, {hard}), {hard}))\n"
        "notes = []\n"
        "with claim(Path(sys.argv[1]), map(str, range(700)), notes.append) as claims:\n"
        "    print(len(claims.mine), len(list(Path(sys.argv[1]).rglob('.lock'))), len(notes))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["700", str(locked), str(int(locked < 700))]
    assert not list(tmp_path.rglob(".lock"))


def test_a_file_system_without_locks_gets_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    notes: list[str] = []
    with claim(tmp_path, ["01", "02"], notes.append) as claims:
        assert claims.mine == {"01", "02"}
    assert len(notes) == 1
    assert "no file locks" in notes[0]
    assert not list(tmp_path.rglob(".lock"))


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"), claim(tmp_path, ["01"]):
        pass


def test_an_output_that_vanished_meanwhile(tmp_path: Path) -> None:
    with claim(tmp_path / "out", ["01"]):
        (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert not (tmp_path / "out").exists()
