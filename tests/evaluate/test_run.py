from __future__ import annotations

import gzip
import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated import AFFINE, NAMES, Study, boxes, label_name, write_labels, write_study

from legseg_bids.errors import NoInput, OutputError, UsageError
from legseg_bids.evaluate import parts, run
from legseg_bids.evaluate.cases import Naming, Options
from legseg_bids.evaluate.plan import Folder, Plan, lines_about
from legseg_bids.evaluate.plan import find_pairs as pairs_of
from legseg_bids.evaluate.results import Evaluated
from legseg_bids.evaluate.table import load_columns, read_rows
from legseg_bids.evaluate.workers import Died

KEY = ("model", "participant_id", "image", "structure", "side")


def plan_of(study: Study, **more: object) -> Plan:
    folders = tuple(Folder(path, path.name) for path in study.models)
    settings = {"workers": 0, **more}
    return Plan(study.out, Folder(study.reference, "reference"), folders, **settings)  # type: ignore[arg-type]


def evaluate(study: Study, **more: object) -> tuple[Evaluated, list[str]]:
    said: list[str] = []
    return run.evaluate(plan_of(study, **more), said.append), said


def table(study: Study, name: str = "evaluation") -> list[dict[str, str]]:
    return list(read_rows(study.out / f"{name}.tsv"))


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != parts.FOLDER
    }


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path, moves=(1, 2))


# ------------------------------------------------------------------------ tables


def test_every_model_case_and_structure_has_a_row(study: Study) -> None:
    done, _ = evaluate(study)
    rows = table(study)
    assert list(rows[0]) == list(load_columns("evaluation"))
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows) == 2 * 2 * 4
    assert {row["slice"] for row in rows} == {"all"}
    assert {row["slice_position"] for row in rows} == {"n/a"}
    assert done.dice == pytest.approx({"model1": 0.875, "model2": 0.75})
    assert (done.cases, done.computed, done.errors, done.warnings) == (4, 4, 0, 0)
    assert table(study, "troubles") == []
    assert all(path.exists() for path in done.tables)


@pytest.mark.parametrize(
    "name", ["evaluation", "evaluation_slices", "confusion", "left_out", "troubles"]
)
def test_every_column_is_described(study: Study, name: str) -> None:
    evaluate(study, options=Options(slices=True, definition="voxel"))
    told = json.loads((study.out / f"{name}.json").read_text())
    columns = (study.out / f"{name}.tsv").read_text().splitlines()[0].split("\t")
    assert [*columns, "Legseg"] == list(told)
    assert all(told[column]["Description"] for column in columns)
    assert told["Legseg"]["SurfaceDistances"] == "voxel"
    assert [folder["Name"] for folder in told["Legseg"]["Predictions"]] == ["model1", "model2"]


def test_the_columns_are_those_that_the_comparison_reads() -> None:
    from legseg_bids.evaluate.observations import ITEM, NUMBERS

    assert {"model", *ITEM, *NUMBERS, "slice", "status"} <= load_columns("evaluation").keys()


def test_slices_are_there_when_asked_and_gone_when_not(study: Study) -> None:
    evaluate(study)
    assert not (study.out / "evaluation_slices.tsv").exists()
    done, _ = evaluate(study, options=Options(slices=True))
    assert done.computed == 4
    assert len(table(study, "evaluation_slices")) == 4 * 4 * 4
    done, _ = evaluate(study)
    assert done.computed == 0  # what is kept with slices is enough without them
    assert not (study.out / "evaluation_slices.tsv").exists()
    assert not (study.out / "evaluation_slices.json").exists()


def test_what_is_left_out_adds_up_over_cases(study: Study) -> None:
    for participant in ("01", "02"):
        name = label_name(participant, "acq-opp_seg-muscles")
        write_labels(study.models[0] / name, boxes((61, 62, 103, 0)), {
            61: "Rectus femoris left", 62: "Rectus femoris right", 103: "Femur left"})  # fmt: skip
    evaluate(study)
    rows = {(r["model"], r["found_in"], r["structure"], r["side"]): r
            for r in table(study, "left_out")}  # fmt: skip
    assert set(rows) == {
        ("model1", "prediction", "FEM", "left"),
        ("model1", "reference", "VL", "left"),
        ("model1", "reference", "VL", "right"),
    }
    femur = rows[("model1", "prediction", "FEM", "left")]
    assert (femur["images"], float(femur["volume_cm3"])) == ("2", pytest.approx(7.68))


def test_what_a_model_knows_elsewhere_it_has_missed_here(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    name = label_name("01", "acq-opp_seg-muscles")
    # As many tools do, ours too: the table lists what is there.
    few = {61: "Rectus femoris left", 62: "Rectus femoris right"}
    write_labels(study.models[0] / name, boxes((61, 62, 0, 0)), few)
    done, _ = evaluate(study)
    rows = {(r["participant_id"], r["structure"], r["side"]): r for r in table(study)}
    assert rows[("sub-01", "VL", "left")]["status"] == "prediction_empty"
    assert rows[("sub-01", "VL", "left")]["dice"] == "0"
    assert done.dice["model1"] == pytest.approx((0.5 + 0.875) / 2)
    assert done.not_compared == 0
    (study.models[0] / label_name("02", "acq-opp_seg-muscles")).unlink()
    done, _ = evaluate(study)
    assert done.not_compared == 2  # nobody can tell whether it knows these
    given = Naming(scheme="legseg")
    named = replace(plan_of(study), predictions=(Folder(study.models[0], "m", naming=given),))
    assert run.evaluate(named, print).dice["m"] == pytest.approx(0.5)


def test_what_a_correction_wiped_out_was_made_up(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    name = label_name("01", "acq-opp_seg-muscles")
    write_labels(ours / name, boxes())
    few = {index: NAMES[index] for index in (62, 55, 56)}
    manual = name.replace("_dseg", "_desc-manual_dseg")
    write_labels(ours / manual, boxes((0, 62, 55, 56)), few)
    folder = Folder(ours, "ours")
    corrected = Folder(ours, "reference", "*manual_dseg.nii.gz")
    run.evaluate(Plan(tmp_path / "out", corrected, (folder,), workers=0), print)
    rows = {f"{r['structure']} {r['side']}": r for r in read_rows(tmp_path / "out/evaluation.tsv")}
    assert rows["RF left"]["status"] == "reference_empty"
    assert {rows[name]["dice"] for name in ("RF right", "VL left", "VL right")} == {"1"}


# ------------------------------------------------------------------------ once more


def test_a_second_run_computes_nothing_and_writes_the_same(study: Study) -> None:
    evaluate(study)
    before = content(study.out)
    done, said = evaluate(study)
    assert done.computed == 0
    assert "4 of 4 cases were evaluated before" in said
    assert content(study.out) == before


def test_whatever_changes_a_number_changes_the_second_run(study: Study, tmp_path: Path) -> None:
    def computed(**more: object) -> int:
        return evaluate(study, **more)[0].computed

    assert computed() == 4
    other = study.models[0] / label_name("01", "acq-opp_seg-muscles")
    os.utime(other)  # touched, not changed
    assert computed() == 0
    write_labels(other, boxes(move=3))
    assert computed() == 1
    assert computed(options=Options(coverage="all")) == 4
    assert computed(options=Options(coverage="all", definition="voxel")) == 4
    reference = tmp_path / "reference" / label_name("02")
    reference.with_name("sub-02_acq-opp_seg-hand_dseg.tsv").write_text(
        "index\tname\n61\tRectus femoris left\n"
    )
    assert computed(options=Options(coverage="all", definition="voxel")) == 2


def test_a_file_that_was_written_just_now_is_looked_at_again(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study.models[0] / label_name("01", "acq-opp_seg-muscles")
    evaluate(study)
    told = path.stat()
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(data), mtime=0))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert evaluate(study)[0].computed == 1


def test_files_that_have_settled_are_known_by_their_stamps(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SETTLED", -1)
    evaluate(study)
    monkeypatch.setattr(parts, "sha256", lambda path: pytest.fail(f"{path} was read"))
    assert evaluate(study)[0].computed == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"damaged"),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(gzip.compress(b"[]")),
        lambda path: path.write_bytes(gzip.compress(b'{"format": 0}')),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_part_was_never_there(study: Study, spoil: Callable[[Path], object]) -> None:
    evaluate(study)
    before = content(study.out)
    spoil(sorted((study.out / parts.FOLDER).glob("*.json.gz"))[0])
    assert evaluate(study)[0].computed == 1
    assert content(study.out) == before


def test_all_that_decides_on_a_number_is_known() -> None:
    root = Path(parts.__file__).parents[1]
    assert all((root / name).is_file() for name in parts.DECIDING)
    used = imported_by("evaluate/cases.py", root)
    assert used <= {*parts.DECIDING, *NO_NUMBER}, "decide whether these change a number"


#: Modules that a case imports and that change no number of it.
NO_NUMBER = ("evaluate/finding.py", "evaluate/pairs.py")


def imported_by(name: str, root: Path) -> set[str]:
    """Modules of these rooms that a module imports, and what those import."""
    found, waiting = set[str](), [name]
    while waiting:
        found.add(name := waiting.pop())
        said = (root / name).read_text()
        for room, module in re.findall(
            r"from legseg_bids\.(evaluate|anatomy)\.(\w+) import", said
        ):
            waiting += {f"{room}/{module}.py"} - found
    return found


def test_other_code_computes_everything_again(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(study)
    monkeypatch.setattr(parts, "code_version", lambda: "another")
    assert evaluate(study)[0].computed == 4


def test_an_evaluation_that_was_stopped_goes_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = run.evaluate_case
    seen: list[str] = []

    def stop_at_third(*words: object) -> object:
        seen.append("case")
        if len(seen) == 3:
            raise KeyboardInterrupt
        return measured(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "evaluate_case", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate(study)
    assert not (study.out / "evaluation.tsv").exists()
    monkeypatch.setattr(run, "evaluate_case", measured)
    assert evaluate(study)[0].computed == 2


# ------------------------------------------------------------------------ troubles


def test_one_bad_case_stops_nobody(study: Study) -> None:
    name = label_name("01", "acq-opp_seg-muscles")
    (study.models[0] / name).write_bytes(b"no image")
    (study.models[1] / label_name("02", "acq-opp_seg-muscles")).unlink()
    done, said = evaluate(study)
    assert (done.cases, done.errors) == (2, 2)
    troubles = {(row["model"], row["participant_id"]): row for row in table(study, "troubles")}
    assert troubles[("model1", "sub-01")]["kind"] == "error"
    assert name in troubles[("model1", "sub-01")]["problem"]
    assert "run the model on this image" in troubles[("model2", "sub-02")]["problem"]
    assert len(table(study)) == 2 * 4
    assert any("error: model1" in line for line in said)
    write_labels(study.models[0] / name, boxes())
    done, _ = evaluate(study)
    assert (done.computed, done.errors) == (1, 1)


def test_warnings_are_told_and_the_case_counts(study: Study) -> None:
    empty = np.zeros_like(boxes())
    write_labels(study.models[0] / label_name("01", "acq-opp_seg-muscles"), empty)
    for _ in range(2):
        done, _ = evaluate(study)
        assert (done.cases, done.errors, done.warnings) == (4, 0, 1)
        (row,) = table(study, "troubles")
        assert (row["kind"], row["participant_id"]) == ("warning", "sub-01")
        assert "\n" not in row["problem"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "more memory than there is"),
        (OSError(5, "Input/output error", "a.nii"), "a.nii cannot be read"),
        (ZeroDivisionError("x"), "cannot be evaluated (ZeroDivisionError: x)"),
    ],
)
def test_surprises_are_troubles_of_their_case(
    study: Study, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(run, "evaluate_case", fail)
    done, _ = evaluate(study)
    assert (done.cases, done.errors) == (0, 4)
    assert all(said in row["problem"] for row in table(study, "troubles"))


def test_a_worker_that_is_killed_is_a_trouble_of_its_case(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(tasks, work, workers):
        return ((task, Died(-signal.SIGKILL) if n == 1 else work(task))
                for n, task in enumerate(tasks))  # fmt: skip

    monkeypatch.setattr(run, "each", killed)
    done, _ = evaluate(study)
    assert (done.cases, done.errors) == (3, 1)
    assert "SIGKILL" in table(study, "troubles")[0]["problem"]
    assert "--workers" in table(study, "troubles")[0]["problem"]


def test_processes_write_the_same(study: Study) -> None:
    evaluate(study)
    before = content(study.out)
    other = Study(study.root, study.reference, study.models)
    said: list[str] = []
    plan = replace(plan_of(other, workers=2), out=study.root / "again")
    run.evaluate(plan, said.append)
    assert content(study.root / "again") == before
    assert any(line.startswith("[4/4] ") for line in said)


# ------------------------------------------------------------------------ nothing to do


def test_nothing_in_common_is_told(study: Study, tmp_path: Path) -> None:
    write_labels(tmp_path / "other" / label_name("77"), boxes())
    stranger = replace(plan_of(study), predictions=(Folder(tmp_path / "other", "other"),))
    with pytest.raises(NoInput, match="nothing can be compared: none of the 1 label images"):
        run.evaluate(stranger, print)


@pytest.mark.parametrize("inside", ["reference", "reference/results", "model1/out"])
def test_nothing_is_written_among_the_input(study: Study, inside: str) -> None:
    plan = replace(plan_of(study), out=study.root / inside)
    with pytest.raises(UsageError, match="which is input"):
        run.evaluate(plan, print)


def test_an_output_that_cannot_be_written_ends_the_run(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study.root / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        run.evaluate(replace(plan_of(study), out=study.root / "file/out"), print)

    def full(*_: object) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr(parts.Part, "write", full)
    with pytest.raises(OutputError, match="no space left"):
        run.evaluate(plan_of(study), print)


def test_a_dry_run_says_what_belongs_to_what(study: Study) -> None:
    write_labels(study.models[0] / label_name("03"), boxes())
    (study.models[1] / label_name("02", "acq-opp_seg-muscles")).unlink()
    said = list(lines_about(pairs_of(plan_of(study))))
    pair = f"{label_name('01')}  <-  {label_name('01', 'acq-opp_seg-muscles')}"
    assert f"model1: {pair}" in said
    assert f"model1: no reference: {label_name('03')}" in said
    assert any(line.startswith("model2: error: none of the 1 label images") for line in said)


def test_tables_may_be_given_for_a_folder(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for participant in ("01", "02"):
        name = label_name(participant, "acq-opp_seg-muscles")
        write_labels(study.models[0] / name, boxes((1, 2, 3, 4)), None, affine=AFFINE)
        (study.models[0] / name.replace(".nii.gz", ".tsv")).unlink()
    given = tmp_path / "labels.tsv"
    given.write_text("index\tname\n1\tRF_L\n2\tRF_R\n3\tVL_L\n4\tVL_R\n")
    folder = Folder(study.models[0], "m", naming=Naming(table=given))
    done = run.evaluate(replace(plan_of(study), predictions=(folder,)), print)
    assert done.dice == {"m": 1.0}
