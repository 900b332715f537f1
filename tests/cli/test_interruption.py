"""Runs that end badly, and what the next run makes of it; each is a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from skeleton import outphase_dataset

RUN = Path(__file__).parents[2] / "run.py"
PARTICIPANTS = 4
PATIENCE = 60

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def _as_from_a_terminal() -> None:
    """Undo what a shell does to commands in the background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Running:
    """A run in a session of its own, as one that was started from a terminal."""

    process: subprocess.Popen[str]
    progress: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.progress.extend(self.process.stderr)

    def wait_for(self, pattern: str) -> None:
        """Until a line of the progress fits."""
        until = time.monotonic() + PATIENCE
        while not any(re.search(pattern, line) for line in list(self.progress)):
            assert self.process.poll() is None, self.progress
            assert time.monotonic() < until, self.progress
            time.sleep(0.005)

    def end(self) -> tuple[int, list[str]]:
        """Exit code, and lines of the standard output."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self._reader.join(PATIENCE)
        return self.process.wait(PATIENCE), out.splitlines()

    def family(self) -> dict[int, int]:
        """Process → parent, of all that live in the session."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = path.read_text()
            except OSError:
                continue
            state, parent, _, session = text.rpartition(")")[2].split()[:4]
            if int(session) == self.process.pid and state != "Z":
                found[int(path.parent.name)] = int(parent)
        return found

    def workers(self) -> list[int]:
        """Grandchildren: children of the server that forks."""
        family = self.family()
        return [pid for pid, parent in family.items() if family.get(parent) == self.process.pid]

    def nobody_is_left(self) -> bool:
        """All processes of the session have ended, at once or soon."""
        until = time.monotonic() + 10
        while self.family() and time.monotonic() < until:
            time.sleep(0.05)
        return not self.family()


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return outphase_dataset(tmp_path_factory.mktemp("many") / "bids", PARTICIPANTS)


@pytest.fixture
def start(bids: Path, tmp_path: Path, tiny_models: Path) -> Iterator[Start]:
    """Start a run on the output folder of this test."""
    begun: list[Running] = []
    (tmp_path / "tmp").mkdir()

    def run(*options: str, out: str = "out") -> Running:
        words = [str(bids), str(tmp_path / out), "participant", "--models", str(tiny_models)]
        words += ["--skip-bids-validation", "--device", "cpu", "--omp-nthreads", "1"]
        words += ["--no-reports"]
        process = subprocess.Popen(
            [sys.executable, str(RUN), *words, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_as_from_a_terminal,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "NUMBA_DISABLE_JIT": "1"},
        )
        begun.append(Running(process))
        return begun[-1]

    yield run
    for running in begun:
        for pid in running.family():
            os.kill(pid, signal.SIGKILL)
        running.process.wait()


def finished(out: Path) -> set[str]:
    """Participants with a sidecar, the last file but for the picture."""
    written = {path.name[:6] for path in out.glob("sub-*/anat/*_dseg.json")}
    return written & {path.name[:6] for path in out.glob("sub-*/figures/*.png")}


def half_written(out: Path) -> list[Path]:
    return list(out.rglob("*.tmp"))


def assert_complete(out: Path) -> None:
    """As after a run that nobody disturbed."""
    assert len(finished(out)) == PARTICIPANTS
    assert not half_written(out)
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    trees = {tuple(sorted(p.name[6:] for p in folder.rglob("*"))) for folder in out.glob("sub-*")}
    assert len(trees) == 1


def assert_next_run_does_the_rest(start: Start, out: Path) -> None:
    before = finished(out)
    code, lines = start("--nprocs", "1").end()
    assert code == 0
    done = {line.split()[2][:6] for line in lines if line.startswith("DONE ALREADY")}
    assert done >= before
    assert len(done) < PARTICIPANTS
    assert_complete(out)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_everything_and_the_next_run_does_the_rest(
    start: Start, tmp_path: Path, workers: str
) -> None:
    run = start("--nprocs", workers)
    run.wait_for("done in")
    os.killpg(run.process.pid, signal.SIGINT)
    code, lines = run.end()
    assert code == 130
    *before, last = lines
    assert last == (
        "legseg-bids: exit code 130: interrupted; finished images are kept, run again to go on"
    )
    assert before
    assert all(line.startswith("SEGMENTED: sub-") for line in before)
    assert f"so far: {len(before)} segmented\n" in run.progress
    assert "Traceback" not in "".join(run.progress)
    assert run.nobody_is_left()
    assert not half_written(tmp_path / "out")
    assert not list((tmp_path / "tmp").glob("legseg-*"))
    assert_next_run_does_the_rest(start, tmp_path / "out")


def test_sigterm_ends_the_workers_too(start: Start, tmp_path: Path) -> None:
    run = start("--nprocs", "2")
    run.wait_for("segmenting")
    run.process.send_signal(signal.SIGTERM)
    code, lines = run.end()
    assert code == 143
    assert "told to stop" in lines[-1]
    assert run.nobody_is_left()
    assert not half_written(tmp_path / "out")
    assert not list((tmp_path / "tmp").glob("legseg-*"))


def test_after_kill_9_no_worker_is_left_and_the_next_run_does_the_rest(
    start: Start, tmp_path: Path
) -> None:
    run = start("--nprocs", "2")
    run.wait_for("done in")
    run.process.kill()
    run.end()
    assert run.nobody_is_left()
    left = tmp_path / "out" / "sub-04" / "anat" / ".x_dseg.json.0123456789ab.tmp"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    assert_next_run_does_the_rest(start, tmp_path / "out")


def test_a_killed_worker_costs_no_image(start: Start, tmp_path: Path) -> None:
    run = start("--nprocs", "2")
    run.wait_for("segmenting")
    os.kill(run.workers()[0], signal.SIGKILL)
    code, lines = run.end()
    assert "once more, alone" in "".join(run.progress)
    assert lines[-1] == f"legseg-bids: exit code 0: {PARTICIPANTS} segmented"
    assert code == 0
    assert run.nobody_is_left()
    assert_complete(tmp_path / "out")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_output_that_vanishes_is_told_and_not_written_into(
    start: Start, tmp_path: Path, workers: str
) -> None:
    """As when a mount is gone: its folder is there, and empty."""
    out = tmp_path / "out"
    run = start("--nprocs", workers)
    run.wait_for("done in")
    out.rename(tmp_path / "away")
    out.mkdir()
    code, lines = run.end()
    assert code in (1, 73)
    assert "mount it again" in "".join(lines)
    assert run.nobody_is_left()
    assert not list(out.rglob("*_dseg*"))
    for path in (*out.rglob("*"), out):
        assert not path.is_file() or "logs" in path.parts
    subprocess.run(["rm", "-r", str(out)], check=True)
    (tmp_path / "away").rename(out)
    assert_next_run_does_the_rest(start, out)


def test_a_folder_that_cannot_be_written_costs_its_images_only(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub-03").write_text("a file where a folder is needed")
    code, lines = start("--nprocs", "2").end()
    assert code == 1
    assert lines[-1] == f"legseg-bids: exit code 1: {PARTICIPANTS - 1} segmented, 1 failed"
    (line,) = (line for line in lines if line.startswith("FAILED"))
    assert "sub-03" in line
    assert "a file stands where a folder is needed" in line


def test_the_same_participants_twice_at_once(start: Start, tmp_path: Path) -> None:
    """Who comes second leaves them to the first, and says so."""
    first = start("--nprocs", "1")
    first.wait_for("reading and preparing")
    second = start("--nprocs", "1")
    code, lines = second.end()
    assert code == 75
    left = [line for line in lines if line.startswith("LEFT TO ANOTHER RUN")]
    assert left
    assert f"process {first.process.pid} on " in left[0]
    assert lines[-1].startswith("legseg-bids: exit code 75: ")
    assert f"{len(left)} left to another run" in lines[-1]
    assert list((tmp_path / "out").rglob(".lock"))
    code, lines = first.end()
    assert code == 0
    assert lines[-1] == f"legseg-bids: exit code 0: {PARTICIPANTS} segmented"
    assert not list((tmp_path / "out").rglob(".lock"))
    assert_complete(tmp_path / "out")


def test_two_runs_on_one_output_share_the_work(start: Start, tmp_path: Path) -> None:
    halves = [[f"{n:02d}" for n in range(first, PARTICIPANTS + 1, 2)] for first in (1, 2)]
    runs = [start("--nprocs", "1", "--participant-label", *half) for half in halves]
    assert [run.end()[0] for run in runs] == [0, 0]
    assert_complete(tmp_path / "out")
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert len(list((tmp_path / "out" / "logs").rglob("*.toml"))) == PARTICIPANTS
