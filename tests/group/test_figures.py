from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from studies import measured, simulated

from legseg_bids.group import figures
from legseg_bids.group.analysis import by_covariates, over_sessions
from legseg_bids.group.covariates import Covariate
from legseg_bids.group.figures import write_figures
from legseg_bids.group.study import StudyBuilder


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a figure shows does not depend on how fine it is."""
    coarse = {name: {**how, "dpi": 40} for name, how in figures.FORMATS.items()}
    monkeypatch.setattr(figures, "FORMATS", coarse)


def findings(study, name: str = "group", titles=("a", "b")):
    people = sorted({record.participant for record in study.records})
    covariate = Covariate(name, name, titles, np.arange(len(people)) % 2.0)
    return [*by_covariates(study, people, [covariate]), *over_sessions(study)]


def test_one_figure_for_each_measure_and_family(tmp_path: Path) -> None:
    study = simulated(12, ["ses-1", "ses-2"])
    written = write_figures(tmp_path / "figures", study, findings(study), tmp_path / "mark")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(
        f"group_{name}.{ending}"
        for name in ("volume", "mean_fat_fraction", "asymmetry", "effect-01_group-a-b",
                     "effect-02_ses1-ses2")
        for ending in ("png", "svg")
    )  # fmt: skip
    assert all(path.stat().st_size > 1000 for path in written)


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    study = simulated(6)
    one, two = (
        write_figures(tmp_path / name, study, [], tmp_path / f"mark-{name}") for name in "ab"
    )
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    svg = next(p for p in one if p.suffix == ".svg").read_text()
    assert "dc:date" not in svg


def test_they_are_drawn_again_only_if_need_be(tmp_path: Path) -> None:
    study, mark = simulated(6), tmp_path / "mark"
    written = write_figures(tmp_path, study, [], mark)
    stamps = [path.stat().st_mtime_ns for path in written]
    assert write_figures(tmp_path, study, [], mark) == written
    assert [path.stat().st_mtime_ns for path in written] == stamps
    written[0].unlink()
    write_figures(tmp_path, study, [], mark)
    assert written[0].is_file()
    mark.write_text("{half")
    study.values["volume"][0, 0] += 1
    write_figures(tmp_path, study, [], mark)
    assert all(p.stat().st_mtime_ns > s for p, s in zip(written, stamps, strict=True))


def test_those_of_an_earlier_run_go_away(tmp_path: Path) -> None:
    (tmp_path / "group_length.png").touch()
    (tmp_path / "mine.png").touch()
    write_figures(tmp_path, simulated(6), [], tmp_path / "mark")
    assert not (tmp_path / "group_length.png").exists()
    assert (tmp_path / "mine.png").exists()


def test_hostile_names_make_harmless_files(tmp_path: Path) -> None:
    study = simulated(12)
    told = findings(study, "../$x^{$ <b>\n", ("$\\frac{", "a/b" * 50))
    folder = tmp_path / "figures"
    written = write_figures(folder, study, told, tmp_path / "mark")
    assert {path.parent for path in written} == {folder}
    assert any("effect-01_xb-frac-abab" in path.name for path in written)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [measured("RF_L", "n/a")],
        [measured("RF_L", 5)],
        [measured("RF_L", 0), measured("RF_R", 0)],
        [measured("RF_L", 5, truncated="both"), measured("limb_R", 3, kind="tissue")],
        [measured("FEM_L", 5), measured("FEM_R", 6)],
    ],
)
def test_tiny_studies(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    builder = StudyBuilder()
    builder.add("sub-1", rows)
    write_figures(tmp_path, builder.build(), [], tmp_path / "mark")
