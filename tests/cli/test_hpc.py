"""``legseg-hpc`` without Slurm: what it would submit, to whom, and what it leaves out."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster import dataset, program, records, result

from legseg_bids.cli.hpc import main
from legseg_bids.cli.slurm import TABLE, find_hpc_dir, load_costs
from legseg_bids.cli.task_records import read_records

ODD = "odd $(touch x) `y` 'a' \"b\" 50% ü"
SBATCH = """
calls = os.environ["CALLS"]
number = len(open(calls).readlines()) + 1 if os.path.exists(calls) else 1
if number == int(os.environ.get("REFUSE", 0)):
    sys.exit("sbatch: error: too many jobs")
print(json.dumps(sys.argv[1:]), file=open(calls, "a"))
print(f"{100 + number};here")
"""


class Told(NamedTuple):
    code: int
    script: str
    said: str


class Place:
    """A dataset, an output, a program, and stand-ins for Slurm's commands."""

    def __init__(
        self, root: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.bids, self.out = root / "data", root / "out"
        self.legseg = program(root / "bin/legseg", "pass")
        self.calls = root / "calls.txt"
        self.patch, self._capsys = patch, capsys
        program(root / "bin/sbatch", SBATCH)
        self.queue("")
        patch.setenv("CALLS", str(self.calls))
        patch.setenv("PATH", str(root / "bin"), prepend=":")

    def queue(self, jobs: str) -> None:
        program(self.legseg.parent / "squeue", f"print({jobs!r})")

    def hpc(self, *options: object, program: bool = True) -> Told:
        self._capsys.readouterr()
        mine = ["--program", self.legseg] if program else []
        code = main([str(w) for w in (self.bids, self.out, *mine, *options)])
        return Told(code, *self._capsys.readouterr())

    def jobs(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls.read_text().splitlines()]

    def lists(self, jobs: list[list[str]]) -> list[list[str]]:
        """Participants of each array."""
        files = [job[job.index("participant") + 3] for job in jobs if "participant" in job]
        return [Path(file).read_text().split() for file in files]


@pytest.fixture
def place(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """All paths need quoting."""
    found = Place(tmp_path / ODD, capsys, monkeypatch)
    dataset(found.bids, "01", "02", "03", "04", "05")
    return found


def option(job: list[str], name: str) -> str:
    return next(word.partition("=")[2] for word in job if word.startswith(f"{name}="))


def test_help_needs_the_standard_library_alone() -> None:
    source = "import sys; sys.argv[1:] = ['--help']\n"
    source += "from legseg_bids.cli.hpc import main\ntry: main()\n"
    source += "finally: print(sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))
    known = sys.stdlib_module_names | {"legseg_bids", "__main__"}
    assert not {name for name in loaded - known if not name.startswith(("_", "sitecustomize"))}


def test_nothing_is_written_or_submitted_unless_asked(place: Place) -> None:
    told = place.hpc()
    assert told.code == 0
    assert told.said == "5 participant(s): 5 not begun\n"
    assert not place.out.exists()
    assert not place.calls.exists()


def test_the_script_does_what_submitting_does(place: Place, tmp_path: Path) -> None:
    """The same calls and the same lists, but for the time in the names of files."""
    options = (
        "--max-array",
        2,
        "--sbatch=--account=legs and arms",
        "--",
        "--session-label",
        "a b",
    )
    script = place.hpc(*options).script
    subprocess.run(["bash"], input=script, text=True, check=True, capture_output=True)
    shown, lists = place.jobs(), place.lists(place.jobs())
    assert (place.out / "logs/slurm/jobs.txt").read_text().split() == ["101", "102", "103", "104"]
    place.calls.unlink()
    shutil.rmtree(place.out)
    assert place.hpc("--submit", *options).code == 0
    submitted = place.jobs()
    assert place.lists(submitted) == lists
    assert (place.out / "logs/slurm/jobs.txt").read_text().split() == ["101", "102", "103", "104"]

    def without_time(jobs: list[list[str]]) -> list[list[str]]:
        return [["list" if w.endswith(".txt") else w for w in job] for job in jobs]

    assert without_time(shown) == without_time(submitted)


def test_the_script_is_clean(place: Place) -> None:
    script = place.hpc("--max-array", 2).script
    for tool in (["bash", "-n"], ["shellcheck", "--severity=warning", "-"]):
        if shutil.which(tool[0]):
            done = subprocess.run(tool, input=script, text=True, capture_output=True, check=False)
            assert (done.returncode, done.stdout) == (0, ""), tool


def test_the_jobs(place: Place) -> None:
    assert place.hpc("--submit", "--", "--skip-bids-validation").code == 0
    array, group = place.jobs()
    assert "--array=1-5%50" in array
    assert option(array, "--output") == f"{place.out}".replace("%", "%%") + "/logs/slurm/%A_%a.log"
    assert array[array.index("--program") + 1] == str(place.legseg)
    assert array[-5:-2] == ["participant", str(place.bids), str(place.out)]
    assert array[-1] == "--skip-bids-validation"
    assert "--dependency=afterany:101" in group
    assert group[-2:] == ["group", str(place.out)]
    assert place.lists([array]) == [["sub-01", "sub-02", "sub-03", "sub-04", "sub-05"]]


def test_more_than_an_array_holds(place: Place) -> None:
    """One array after the other, so that the throttle holds; the group after all of them."""
    place.hpc("--submit", "--max-array", 2, "--throttle", 1)
    *arrays, group = place.jobs()
    assert [option(job, "--array") for job in arrays] == ["1-2%1", "1-2%1", "1-1%1"]
    assert [sum(word.startswith("--dependency") for word in job) for job in arrays] == [0, 1, 1]
    assert "--dependency=afterany:102" in arrays[2]
    assert "--dependency=afterany:101:102:103" in group
    assert [len(names) for names in place.lists(arrays)] == [2, 2, 1]


def test_several_participants_for_a_task(place: Place) -> None:
    place.hpc("--submit", "--participants-per-task", 2, "--max-array", 2)
    *arrays, _ = place.jobs()
    assert [option(job, "--array") for job in arrays] == ["1-2%50", "1-1%50"]
    assert all(job[job.index("--per-task") + 1] == "2" for job in arrays)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--group", "none"), 1),
        (("--group", "afterok"), 2),
        (("--group", "afterany"), 2),
    ],
)
def test_the_group_job(place: Place, words: tuple[str, ...], expected: int) -> None:
    place.hpc("--submit", *words)
    jobs = place.jobs()
    assert len(jobs) == expected
    if expected == 2:
        assert f"--dependency={words[1]}:101" in jobs[-1]


def test_resources_come_from_the_table(place: Place) -> None:
    place.hpc("--submit", "--cpus", 1)
    cost = load_costs(find_hpc_dir() / TABLE)["participant"][0]
    wanted = cost.request(2)
    assert set(wanted.words()) <= set(place.jobs()[0])
    assert wanted.memory_mb > cost.base_mib


def test_resources_that_are_asked_for(place: Place) -> None:
    place.hpc("--submit", "--mem", "4GiB", "--minutes", 90, "--gpu")
    assert set(place.jobs()[0]) > {"--mem=4096M", "--time=01:30:00", "--gres=gpu:1"}
    assert not [word for word in place.jobs()[1] if word.startswith("--gres")]


def test_many_images_get_more_time(place: Place) -> None:
    folder = place.bids / "sub-03/ses-a/anat"
    folder.mkdir(parents=True)
    for number in range(200):
        (folder / f"sub-03_ses-a_run-{number}_T1w.nii.gz").touch()
    place.hpc("--submit", "--cpus", 2)
    cost = load_costs(find_hpc_dir() / TABLE)["participant"][1]
    assert set(cost.request(202).words()) <= set(place.jobs()[0])


# ------------------------------------------------------------------- running again


def test_only_what_failed_runs_again(place: Place) -> None:
    """01 is done, 02 failed, 03 was killed, 04 has nothing to segment, 05 was stopped."""
    rows = [
        (10, "sub-01", "started", 0, 2048),
        (10, "sub-01", "0", 5, 2048),
        (11, "sub-02", "started", 0, 2048),
        (15, "sub-02", "1", 5, 2048),
        (16, "sub-03", "started", 0, 2048),
    ]
    records(place.out, 5, rows)
    records(place.out, 5, [(9, "sub-04", 66, 1, 2048), (20, "sub-05", 143, 1, 2048)], task=2)
    result(place.out, "01")
    told = place.hpc("--submit", "--mem", "2GiB", "--minutes", 20)
    assert "1 done, 1 without images of the legs, 1 failed, 1 killed, 1 stopped early" in told.said
    *arrays, group = place.jobs()
    assert place.lists(arrays) == [["sub-02"], ["sub-05"], ["sub-03"]]
    found = [(option(job, "--mem"), option(job, "--time")) for job in arrays]
    assert found == [("2048M", "00:20:00"), ("2048M", "00:40:00"), ("4096M", "00:40:00")]
    assert "--dependency=afterany:101:102:103" in group


def test_killed_again_and_again(place: Place) -> None:
    """Twice as much each time, and what is enough is kept; at the limit it is left out."""
    dataset(place.bids, "06")
    chosen = ("--participant-label", "06", "--mem", "2GiB", "--submit", "--group", "none")
    for time, code, memory, expected in (
        (1, "started", 2048, "4096M"),
        (2, "137", 4096, "8192M"),
        (3, "1", 8192, "8192M"),
        (4, "started", 40960, None),
    ):
        place.calls.unlink(missing_ok=True)
        records(place.out, time, [(time, "sub-06", code, 0, memory)])
        told = place.hpc(*chosen)
        if expected is None:
            assert told.code == 1
            assert "LEFT OUT: sub-06 was killed with 40960 MB" in told.said
            assert not place.calls.exists()
        else:
            assert option(place.jobs()[0], "--mem") == expected


def test_all_are_done(place: Place) -> None:
    for number in range(1, 6):
        records(place.out, number, [(1, f"sub-0{number}", 0, 1, 2048)])
        result(place.out, f"0{number}")
    assert place.hpc("--submit").said.endswith("nothing to submit\n")
    assert not place.calls.exists()
    place.hpc("--submit", "--all")
    assert "--array=1-5%50" in place.jobs()[0]


def test_done_without_results_is_not_done(place: Place) -> None:
    records(place.out, 1, [(1, "sub-01", 0, 1, 2048)])
    assert "5 not begun" in place.hpc().said


def test_the_last_record_counts_also_within_a_second(place: Place) -> None:
    """Files in the order of their names: job 10 stands before job 9."""
    records(place.out, 9, [(100, "sub-01", "started", 0, 1), (100, "sub-01", 1, 0, 1)])
    records(place.out, 10, [(200, "sub-01", "started", 0, 1), (200, "sub-01", 0, 0, 1)])
    result(place.out, "01")
    assert "1 done" in place.hpc().said


def test_spoilt_notes_are_passed_over(place: Path) -> None:
    folder = place.out / "logs/slurm"
    records(place.out, 9, [(100, "sub-01", 1, 0, 1), ("x", "sub-01", 0, 0, 1), (101, "sub-01")])
    records(place.out, 8, [(200, "sub-01", "nan", 0, 1)])
    (folder / "9_2.tsv").write_bytes(b"\xff\x00\n1")
    (folder / "my_notes.tsv").write_text("time\tparticipant\n")
    assert {name: record.code for name, record in read_records(folder).items()} == {"sub-01": 1}


def test_while_jobs_are_in_the_queue(place: Place) -> None:
    place.hpc("--submit")
    place.calls.unlink()
    place.queue("77\n102")
    told = place.hpc("--submit")
    assert told.code == 2
    assert "jobs 102 of this output are still in the queue" in told.said
    assert not place.calls.exists()
    assert place.hpc("--submit", "--force").code == 0


def test_a_job_is_refused(place: Place) -> None:
    place.patch.setenv("REFUSE", "2")
    told = place.hpc("--submit")
    assert told.code == 1
    assert "too many jobs" in told.said
    assert "submitted already: 101" in told.said
    assert (place.out / "logs/slurm/jobs.txt").read_text() == "101\n"


def test_without_slurm(place: Place) -> None:
    (place.legseg.parent / "sbatch").unlink()
    (place.legseg.parent / "squeue").unlink()
    place.patch.setenv("PATH", str(place.legseg.parent))
    told = place.hpc("--submit")
    assert told.code == 1
    assert "sbatch cannot be called" in told.said
    assert place.hpc().code == 0


# ----------------------------------------------------------------- asking legseg itself


def test_check_asks_the_application(place: Place) -> None:
    """01 was done before its image changed; 02 was done by hand; 03 has nothing of use."""
    records(place.out, 1, [(1, "sub-01", 0, 1, 512), (2, "sub-04", 1, 1, 512)])
    result(place.out, "01")
    table = """print('''participant  session  file  taken as  output  state
sub-01       -        a     x         y       to do
sub-02       -        b     x         y       done
sub-04       -        b     x         y       done
sub-05       -        b     x         y       done
                      c     x
sub-05       -        d     x         y       to do
''')
print(json.dumps(sys.argv[1:]), file=open(sys.argv[0] + '.called', 'w'))
"""
    program(place.legseg, table)
    told = place.hpc("--check", "--submit", "--group", "none", "--", "--session-label", "a")
    assert "1 done, 1 without images of the legs, 1 failed" in told.said
    assert place.lists(place.jobs()) == [["sub-01", "sub-04", "sub-05"]]
    words = json.loads(Path(f"{place.legseg}.called").read_text())
    assert words[-2:] == ["--session-label", "a"]
    assert "--dry-run" in words


def test_check_fails_if_the_application_does(place: Place) -> None:
    program(place.legseg, "print('weights are missing')\nsys.exit(1)")
    told = place.hpc("--check")
    assert told.code == 2
    assert "weights are missing" in told.said


def test_check_understands_the_real_table(
    tmp_path: Path, bids_dir: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before and after the application was run: to do, then done."""
    run = Path(__file__).parents[2] / "run.py"
    legseg = program(tmp_path / "bin/legseg", f"os.execv({sys.executable!r}, "
                     f"[{sys.executable!r}, {str(run)!r}, *sys.argv[1:]])")  # fmt: skip
    options = ["--models", str(tiny_models), "--device", "cpu"]
    words = [str(bids_dir), str(tmp_path / "out")]
    asked = [*words, "--program", str(legseg), "--check", "--", *options]
    assert main(asked) == 0
    assert capsys.readouterr().err == "1 participant(s): 1 not begun\n"
    run_words = [*words, "participant", "--skip-bids-validation", *options]
    subprocess.run([legseg, *run_words], check=True, capture_output=True)
    assert main(asked) == 0
    assert capsys.readouterr().err == "1 participant(s): 1 done\nnothing to submit\n"


# ------------------------------------------------------------------ choice and mistakes


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--participant-label", "sub-02", "01"], ["sub-01", "sub-02"]),
        (["--participant_label", "02", "02"], ["sub-02"]),
        (["--exclude-participant-label", "01", "02", "05"], ["sub-03", "sub-04"]),
    ],
)
def test_choice(place: Place, words: list[str], expected: list[str]) -> None:
    place.hpc("--submit", *words)
    assert place.lists(place.jobs()) == [expected]


@pytest.mark.parametrize(
    "text", ["01\nsub-03\n", "participant_id\tage\nsub-01\t3\nsub-03\t4\n", "\ufeff01\r\n#x\n03"]
)
def test_choice_from_a_file(place: Place, tmp_path: Path, text: str) -> None:
    file = tmp_path / "chosen.txt"
    file.write_text(text, encoding="utf-8")
    place.hpc("--submit", "--participant-label", file)
    assert place.lists(place.jobs()) == [["sub-01", "sub-03"]]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--participant-label", "99"), 18, "sub-99 is not in"),
        (("--exclude-participant-label", "1", "01", "02", "03", "04", "05"), 18, "excluded"),
        (("--mem", "4"), 2, "with a unit"),
        (("--", "--mem", "4GB"), 2, "--mem is decided for each task"),
        (("--", "--participant_label=4"), 2, "is decided for each task"),
    ],
)
def test_mistakes(place: Place, words: tuple[str, ...], code: int, said: str) -> None:
    told = place.hpc(*words)
    assert told.code == code
    assert said in told.said


@pytest.mark.parametrize("name", ["a b", "a'b", "a\nb", "a$b", "a;b"])
def test_labels_that_no_list_can_hold(place: Place, name: str) -> None:
    (place.bids / f"sub-{name}").mkdir()
    told = place.hpc()
    assert told.code == 2
    assert "letters, digits and +" in told.said


def test_a_label_too_long_for_a_file_name_is_a_label(place: Place) -> None:
    told = place.hpc("--participant-label", "a" * 300)
    assert told.code == 18
    assert "expected a folder; check the labels" in told.said


def test_a_list_that_is_no_text(place: Place) -> None:
    place.bids.joinpath("list.bin").write_bytes(b"\xff\xfe\x00")
    told = place.hpc("--participant-label", place.bids / "list.bin")
    assert told.code == 2
    assert "save it as UTF-8 text" in told.said


@pytest.mark.parametrize("name", ["a\nb", "a\\b"])
def test_paths_that_slurm_cannot_take(place: Place, name: str) -> None:
    place.out = place.out / name
    assert "Slurm cannot take it" in place.hpc().said


@pytest.mark.parametrize("name", ["a:b", "a,b"])
def test_paths_that_apptainer_cannot_take(place: Place, name: str) -> None:
    place.out = place.out / name
    assert place.hpc().code == 0
    image = place.legseg.parent / "legseg.sif"
    image.touch()
    told = place.hpc("--image", image, program=False)
    assert told.code == 2
    assert "colon or comma" in told.said


def test_an_image(place: Place) -> None:
    image = place.legseg.parent / "legseg.sif"
    assert "does not exist" in place.hpc("--image", image, program=False).said
    image.touch()
    script = place.hpc("--image", image, program=False).script
    assert f"--image {shlex.quote(str(image))} " in script


def test_no_dataset(place: Place, tmp_path: Path) -> None:
    place.bids = tmp_path / "nowhere"
    assert place.hpc().code == 66
    place.bids.mkdir()
    assert place.hpc().code == 66


def test_the_table_of_resources() -> None:
    costs = load_costs(find_hpc_dir() / TABLE)
    assert set(costs) == {"participant", "group"}
    assert [cost.cpus for cost in costs["participant"]] == [1, 2, 4]
    for cost in (row for rows in costs.values() for row in rows):
        assert 20 < cost.base_mib < 4000
        assert 0 <= cost.each_mib < 1
        assert 0 < cost.base_seconds < 60
        assert 0 < cost.each_seconds < 60


def test_the_group_of_many_participants_gets_more(place: Place) -> None:
    few = place.hpc("--participant-label", "01").script.splitlines()
    for number in range(12_000):
        (place.out / f"sub-x{number}").mkdir(parents=True)
    many = place.hpc("--participant-label", "01").script.splitlines()

    def megabytes(lines: list[str]) -> int:
        line = next(line for line in lines if "legseg-group" in line)
        return int(line.partition("--mem=")[2].partition("M ")[0])

    assert 500 < megabytes(few) < megabytes(many) < 4000
