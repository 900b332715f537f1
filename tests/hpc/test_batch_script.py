"""The batch script, run by bash with programs that stand in for legseg and Apptainer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from cluster import BATCH, batch, dataset, program

from legseg_bids.cli.task_records import State, read_records

# Writes down how it was called, and ends as the file "codes.json" says of its participant.
LEGSEG = """
here = os.path.dirname(os.path.abspath(__file__))
label = next((word for word in sys.argv if word.startswith("sub-")), "group")
if "run" in sys.argv[1:2]:
    label = "image"
with open(os.path.join(here, label + ".json"), "w") as file:
    json.dump({"words": sys.argv[1:], "cwd": os.getcwd(), "files": os.listdir("."),
               "tmp": os.environ.get("TMPDIR")}, file)
codes = json.load(open(os.path.join(here, "codes.json")))
sys.exit(codes.get(label, 0))
"""
ODD = "odd $(touch x) `y` 'a' \"b\" ü"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """All paths need quoting."""
    folder = tmp_path / ODD
    dataset(folder / "data", "01", "02", "03")
    program(folder / "bin/legseg", LEGSEG)
    (folder / "bin/codes.json").write_text("{}")
    (folder / "labels.txt").write_text("sub-01\n02\n\n# nobody\n03")
    (folder / "scratch").mkdir()
    return folder


def start(
    place: Path, *options: object, task: int = 1, labels: str = "labels.txt"
) -> subprocess.Popen[str]:
    return batch(
        *("--program", place / "bin/legseg", "--records", place / "notes", *options),
        *("participant", place / "data", place / "out", place / labels, "--skip-bids-validation"),
        task=task,
        environ={"SLURM_TMPDIR": str(place / "scratch")},
    )


def called(place: Path, name: str) -> dict:
    return json.loads((place / f"bin/{name}.json").read_text())


def test_bash_can_read_it() -> None:
    assert subprocess.run(["bash", "-n", BATCH], check=False).returncode == 0


BESIDE_PYTHON = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
SHELLCHECK = shutil.which("shellcheck", path=BESIDE_PYTHON)


@pytest.mark.skipif(SHELLCHECK is None, reason="needs shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run([SHELLCHECK, BATCH], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_options_for_slurm_stand_before_the_first_command() -> None:
    lines = BATCH.read_text().splitlines()
    slurm = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert slurm
    assert max(slurm) < first


@pytest.mark.parametrize(("task", "label"), [(1, "sub-01"), (2, "sub-02"), (3, "sub-03")])
def test_each_task_takes_its_participant(place: Path, task: int, label: str) -> None:
    assert start(place, task=task).wait() == 0
    words = called(place, label)["words"]
    assert words[:3] == [str(place / "data"), str(place / "out"), "participant"]
    assert words[3:5] == ["--participant-label", label]
    limits = ["--nprocs", "2", "--omp-nthreads", "2", "--mem-mb", "1600"]
    assert words[5:] == [*limits, "--skip-bids-validation"]
    assert len(list((place / "bin").glob("sub-*.json"))) == 1


def test_several_participants_in_a_task(place: Path) -> None:
    (place / "bin/codes.json").write_text('{"sub-01": 1, "sub-02": 66}')
    assert start(place, "--per-task", 2).wait() == 1
    found = {name: record.code for name, record in read_records(place / "notes").items()}
    assert found == {"sub-01": 1, "sub-02": 66}
    assert start(place, "--per-task", 2, task=2).wait() == 0
    assert read_records(place / "notes")["sub-03"].state is State.DONE


def test_who_has_no_image_does_not_fail(place: Path) -> None:
    (place / "bin/codes.json").write_text('{"sub-01": 66}')
    assert start(place).wait() == 0
    assert read_records(place / "notes")["sub-01"].state is State.EMPTY


def test_participants_tsv(place: Path) -> None:
    (place / "participants.tsv").write_text("participant_id\tage\r\nsub-02\t50\r\n")
    assert start(place, labels="participants.tsv").wait() == 0
    assert called(place, "sub-02")["words"][4] == "sub-02"


def test_a_task_beyond_the_list(place: Path) -> None:
    task = start(place, task=4)
    assert task.communicate()[1].endswith("has only 3 participants\n")
    assert task.returncode == 2


def test_scratch_is_private_empty_and_removed(place: Path) -> None:
    assert start(place).wait() == 0
    seen = called(place, "sub-01")
    assert seen["cwd"] == seen["tmp"]
    assert Path(seen["tmp"]).parent == place / "scratch"
    assert seen["files"] == []
    assert list((place / "scratch").iterdir()) == []


def test_told_to_stop(place: Path) -> None:
    """TERM reaches the program, whose end is waited for; who comes next is not begun."""
    source = "signal.signal(15, lambda *_: (time.sleep(0.3), sys.exit(143)))\n"
    # Short naps: a signal just before a long one would wait for its end.
    naps = "for _ in range(1200):\n    time.sleep(0.05)"
    program(place / "bin/legseg", source + f"open(sys.argv[0] + '.up', 'w')\n{naps}")
    task = start(place, "--per-task", 3)
    while not (place / "bin/legseg.up").exists():
        assert task.poll() is None
    task.terminate()
    assert task.wait(20) == 143
    assert {n: r.code for n, r in read_records(place / "notes").items()} == {"sub-01": 143}
    assert list((place / "scratch").iterdir()) == []


def test_killed(place: Path) -> None:
    program(place / "bin/legseg", "os.kill(os.getpid(), 9)")
    assert start(place).wait() == 137
    assert read_records(place / "notes")["sub-01"].state is State.KILLED


def test_killed_with_its_task(place: Path) -> None:
    program(place / "bin/legseg", "os.kill(os.getppid(), 9)")
    start(place).wait()
    record = read_records(place / "notes")["sub-01"]
    assert (record.code, record.state, record.memory_mb) == (None, State.KILLED, 2000)


def test_group(place: Path) -> None:
    (place / "out").mkdir()
    words = ("--program", place / "bin/legseg", "group", place / "out", "-v")
    assert batch(*words).wait() == 0
    assert called(place, "group")["words"] == ["-", str(place / "out"), "group", "-v"]


def test_image(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are mounted, scratch takes the place of /tmp, the host's variables stay out."""
    program(place / "bin/apptainer", LEGSEG)
    (place / "legseg.sif").touch()
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=":")
    assert start(place, "--image", place / "legseg.sif", "--gpu").wait() == 0
    words = called(place, "image")["words"]
    assert words[:4] == ["run", "--containall", "--cleanenv", "--nv"]
    binds = [after for word, after in pairwise(words) if word == "--bind"]
    scratch = next(bind for bind in binds if bind.endswith(":/tmp"))
    assert Path(scratch.removesuffix(":/tmp")).parent == place / "scratch"
    assert set(binds) == {f"{place}/out:/out", f"{place}/data:/data:ro", scratch}
    assert words[words.index("--pwd") :][:6] == [
        *("--pwd", "/tmp", "--bind", f"{place}/data:/data:ro", str(place / "legseg.sif"), "/data")
    ]
    expected = ["/data", "/out", "participant", "--participant-label"]
    assert words[words.index("/data") :][:4] == expected


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("participant", "nowhere", "out", "labels"),
        ("--image",),
        ("--what", "participant"),
        ("both", "a", "b"),
        ("participant", "."),
    ],
)
def test_mistakes(words: tuple[str, ...], tmp_path: Path) -> None:
    task = batch(*words)
    said = task.communicate()[1]
    assert task.returncode != 0
    assert said
