"""``legseg-evaluate``: from folders to a page, and what it says when something is wrong."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evaluated import (
    NAMES,
    Study,
    boxes,
    label_name,
    write_labels,
    write_study,
)

from legseg_bids.cli.evaluate import main, parser
from legseg_bids.errors import ExitCode
from legseg_bids.evaluate import run
from legseg_bids.evaluate.grids import COVERAGES
from legseg_bids.evaluate.metrics import DEFINITIONS, STATUSES
from legseg_bids.evaluate.table import load_columns, read_rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path, ("01", "02", "03"), moves=(1, 2))


def words(study: Study, *more: object) -> list[str]:
    given = [study.reference, *study.models, "--out", study.out, "--workers", 0, *more]
    return [str(word) for word in given]


def dice(out: Path) -> dict[str, float]:
    """Dice of every structure of the first image."""
    rows = list(read_rows(out / "evaluation.tsv"))
    return {f"{r['structure']} {r['side']}": float(r["dice"]) for r in reversed(rows)}


def test_from_folders_to_a_page(study: Study, capsys) -> None:
    table = "participant_id\tgroup\nsub-01\tpatient\nsub-02\tcontrol\n"
    (study.root / "participants.tsv").write_text(table)
    rater = study.root / "rater"
    for participant in ("01", "02"):
        write_labels(rater / label_name(participant), boxes(move=1))
    more = ["--participants", study.root / "participants.tsv", "--group-by", "group", "--slices"]
    assert main(words(study, *more, "--operators", rater)) == 0
    told = capsys.readouterr()
    assert "model1: mean Dice 0.875" in told.out
    assert f"wrote {study.out / 'evaluation.html'}" in told.out
    assert "[6/6] model2" in told.err
    names = {path.name for path in study.out.iterdir()}
    wanted = ("evaluation", "evaluation_slices", "confusion", "troubles", "left_out")
    assert {f"{name}.{kind}" for name in wanted for kind in ("tsv", "json")} <= names
    assert {"comparisons.tsv", "evaluation.html"} <= names
    assert dice(study.out / "operators")["RF left"] == 0.875


def test_a_case_that_fails_decides_on_the_exit_code(study: Study, capsys) -> None:
    (study.models[0] / label_name("01", "acq-opp_seg-muscles")).write_bytes(b"")
    assert main(words(study, "--no-page")) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "is empty (0 bytes)" in told.err
    assert "5 case(s) evaluated, 5 of them now; 1 error(s), 0 warning(s)" in told.out
    assert not (study.out / "evaluation.html").exists()


def test_a_dry_run_writes_nothing(study: Study, capsys) -> None:
    assert main(words(study, "--dry-run")) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert not study.out.exists()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--names", "one"], ExitCode.USAGE, "are named one; expected a different name"),
        (["--names", "one", "one"], ExitCode.USAGE, "expected a different name for each"),
        (["--scheme", "a", "b", "c"], ExitCode.USAGE, "--scheme has 3 values; expected one for"),
        (["--scheme", "nobodys"], ExitCode.USAGE, "there is no label scheme 'nobodys'"),
        (["--files", "nothing*"], ExitCode.NO_INPUT, "holds no label image named nothing*"),
        (["--reference-files", "no*"], ExitCode.NO_INPUT, "holds no label image named no*"),
    ],
)
def test_what_cannot_be_done_is_told(study: Study, more, code, said: str, capsys) -> None:
    assert main(words(study, *more)) == code
    assert said in capsys.readouterr().err


def test_groups_that_are_none_are_told_before_anything_is_done(study: Study, capsys) -> None:
    people = study.root / "participants.tsv"
    people.write_text("participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-03\tF\n")
    assert main(words(study, "--participants", people, "--group-by", "diagnosis")) != 0
    assert "diagnosis" in capsys.readouterr().err
    assert not study.out.exists()


def test_folders_that_are_none_are_told(study: Study, capsys) -> None:
    assert main([str(study.root / "no"), str(study.models[0]), "--out", str(study.out)]) == 66
    assert "is not a folder; expected one with label images" in capsys.readouterr().err
    inside = words(study)
    inside[inside.index("--out") + 1] = str(study.models[0])
    assert main(inside) == ExitCode.USAGE
    assert "which is input" in capsys.readouterr().err
    (study.root / "file").touch()
    inside[inside.index("--out") + 1] = str(study.root / "file/out")
    assert main(inside) == ExitCode.NO_OUTPUT
    assert "cannot be written" in capsys.readouterr().err


def test_folders_of_the_same_name_are_called_by_their_parents(study: Study, capsys) -> None:
    for number, folder in enumerate(study.models, start=1):
        folder.rename(study.root / "moved" if number == 0 else folder.with_name(f"{number}x"))
    for number in (1, 2):
        (study.root / f"run{number}").mkdir()
        (study.root / f"{number}x").rename(study.root / f"run{number}/out")
    given = [study.reference, study.root / "run1/out", study.root / "run2/out"]
    assert main([*map(str, given), "--out", str(study.out), "--workers", "0", "--no-page"]) == 0
    assert "run1/out: mean Dice 0.875" in capsys.readouterr().out


def test_choices_are_those_of_the_engine() -> None:
    told = {action.dest: action.choices for action in parser()._actions}
    assert set(told["coverage"]) == set(COVERAGES)
    assert set(told["definition"]) == set(DEFINITIONS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, legseg_bids.cli.evaluate as e; e.parser().format_help(); print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "nibabel", "scipy", "torch"} & set(found.stdout.split())


# ------------------------------------------------------------------------ being stopped


def test_ctrl_c_is_no_error_of_the_program(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "evaluate_case", stop)
    assert main(words(study)) == ExitCode.INTERRUPTED
    assert "the same command goes on" in capsys.readouterr().err


def test_sigterm_ends_the_workers_and_keeps_what_is_finished(study: Study) -> None:
    command = [sys.executable, "-m", "legseg_bids.cli.evaluate", *words(study, "--no-page")]
    command[command.index("--workers") + 1] = "1"
    slow = study.root / "slow"
    slow.mkdir()
    # Every case after the first takes a minute.
    (slow / "sitecustomize.py").write_text(SLOW)
    environment = {"PYTHONPATH": f"{slow}:{ROOT}", "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    assert any("[1/6]" in line for line in process.stderr)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait(60) == ExitCode.TERMINATED, said
    assert "finished cases are kept" in said
    assert len(list((study.out / ".cases").glob("*.gz"))) == 1
    assert not list(study.out.glob("*.tsv"))
    assert main(words(study, "--no-page")) == 0


SLOW = """
import sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "legseg_bids.evaluate.run":
            import legseg_bids.evaluate.cases as cases
            measured, done = cases.evaluate_case, []
            def evaluate_case(*words):
                time.sleep(60 * len(done))
                done.append(1)
                return measured(*words)
            cases.evaluate_case = evaluate_case

sys.meta_path.insert(0, Finder())
"""


# ------------------------------------------------------------------------ other tools


def other_tool(root: Path, tool: str) -> tuple[Path, list[object]]:
    """What a tool would have written of the boxes, sub-01 alone, and the options it takes."""
    folder, more = root / tool, []
    if tool == "qmritools":
        write_labels(folder / "sub-01/seg/sub-01_acq-opp_dixon_seg.nii.gz", boxes(), None)
        more = ["--scheme", "qmritools_legs"]
    elif tool == "musclemap":
        data = boxes((7181, 7182, 7161, 7162))
        write_labels(folder / "sub-01_acq-opp_T1w_dseg.nii.gz", data, None)
        more = ["--scheme", "musclemap"]
    elif tool == "totalsegmentator":
        for number, name in {61: "sartorius_left", 62: "sartorius_right", 55: "liver"}.items():
            mask = (boxes() == number).astype("uint8")
            write_labels(folder / f"sub-01_acq-opp/{name}.nii.gz", mask, None)
    else:
        write_labels(folder / "sub-01_acq-opp.nii.gz", boxes((1, 1, 2, 2)), None)
        labels = {"background": 0, "Rectus femoris": 1, "Vastus lateralis": 2}
        (folder / "dataset.json").write_text(f'{{"labels": {labels}}}'.replace("'", '"'))
    return folder, more


@pytest.mark.parametrize(
    ("tool", "drawn", "found"),
    [
        ("qmritools", NAMES, {"RF left", "RF right", "VL left", "VL right"}),
        ("musclemap", {61: "BFLH_L", 62: "BFLH_R", 55: "SM_L", 56: "SM_R"},
         {"BFLH left", "BFLH right", "SM left", "SM right"}),
        ("totalsegmentator", {61: "SAR_L", 62: "SAR_R"}, {"SAR left", "SAR right"}),
        ("nnunet", NAMES, {"RF n/a", "VL n/a"}),
    ],
)  # fmt: skip
def test_what_other_tools_wrote_against_what_a_lab_drew(
    tmp_path: Path, tool: str, drawn, found, capsys
) -> None:
    write_labels(tmp_path / "drawn" / label_name("01"), boxes(), drawn)
    folder, more = other_tool(tmp_path, tool)
    given = [tmp_path / "drawn", folder, "--out", tmp_path / "out", "--workers", 0, "--no-page"]
    assert main([str(word) for word in (*given, *more)]) == 0, capsys.readouterr().err
    assert dice(tmp_path / "out") == dict.fromkeys(found, 1.0)


def test_one_file_may_be_compared_with_another(tmp_path: Path, capsys) -> None:
    reference = write_labels(tmp_path / "a/drawn.nii.gz", boxes())
    prediction = write_labels(tmp_path / "b/found.nii.gz", boxes(move=1))
    given = [reference, prediction, "--out", tmp_path / "out", "--workers", 0, "--no-page"]
    assert main([str(word) for word in given]) == 0, capsys.readouterr().err
    assert dice(tmp_path / "out")["RF left"] == 0.875
    masks = tmp_path / "masks"
    for number, name in {61: "rectus_femoris_left", 62: "rectus_femoris_right"}.items():
        write_labels(masks / f"{name}.nii.gz", (boxes() == number).astype("uint8"), None)
    given[1] = masks
    assert main([str(word) for word in given]) == 0, capsys.readouterr().err
    assert dice(tmp_path / "out") == {"RF left": 1.0, "RF right": 1.0}


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample and, as if a network had made it, its truth; the working folder."""
    shutil.copytree(ROOT / "tests/data/sample", tmp_path / "sample")
    shutil.copytree(tmp_path / "sample/derivatives/truth", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_copy_of_the_truth_is_right_everywhere(sample: Path, capsys) -> None:
    given = ["sample/derivatives/truth", "out", "--out", "e", "--workers", "1", "--no-page"]
    assert main(given) == 0, capsys.readouterr().err
    rows = list(read_rows(sample / "e/evaluation.tsv"))
    assert {row["participant_id"] for row in rows} == {"sub-01", "sub-02"}
    assert {row["dice"] for row in rows if row["status"] == "ok"} == {"1"}
    assert len({row["image"] for row in rows}) == 4


# ------------------------------------------------------------------------ the manual

PAGE = (ROOT / "docs/evaluation.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for line in block.splitlines()
]


def test_every_command_of_the_page(sample: Path, capsys) -> None:
    """On the sample: whoever drew or computed something found the truth."""
    for name in ("ours", "theirs", "rater"):
        shutil.copytree("out", name)
    for program, *given in map(shlex.split, COMMANDS):
        if program == "legseg-evaluate":
            more = ["--workers", "0", "--no-page"]
            assert main([*given, *more]) == 0, (given, capsys.readouterr().err)
    assert {"both", "evaluation", "raters"} <= {
        path.parent.name for path in Path().glob("*/*.tsv")
    }


def test_the_page_names_every_option_column_and_status() -> None:
    options = {o for action in parser()._actions for o in action.option_strings} - {"-h", "--help"}
    columns = {
        name for table in ("evaluation", "left_out", "troubles") for name in load_columns(table)
    }
    assert not {word for word in {*options, *columns, *STATUSES} if f"`{word}" not in PAGE}
