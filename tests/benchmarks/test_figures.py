"""Tables in, figures out: all muscles are named, and the same tables give the same bytes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.accuracy.command import main
from benchmarks.accuracy.studies import STUDIES
from benchmarks.accuracy.summary import grid, summary
from benchmarks.accuracy.tables import Row, Table, write_rows
from benchmarks.accuracy.telling import TELL

MUSCLES = {"lower_leg": (1, 3), "hip": tuple(range(71, 90, 2))}


def table(folder: Path, study: str, network: str) -> Table:
    one = STUDIES[study]
    random = np.random.default_rng(1)
    out = Table(folder / f"{study}-{network}.tsv", one.columns, {"Cases": one.digests()})
    for task in one.tasks(2):
        rows: list[Row] = []
        for label in MUSCLES[network]:
            dice = float(random.uniform(0.3, 1))
            row = {"fat": 0.1, "label": label, "volume": 20.0, "found": 20 * dice, "dice": dice}
            row |= {"distance": 5.0 / dice, "confidence": dice}
            if study == "curves" and task.factor == "stored":
                row["differing"] = 0
            rows.append(row)
        rows[0] |= {"found": 0.0, "dice": 0.0, "distance": float("nan")}
        out.add(task, rows)
    out.finish(one.tasks(2))
    return out


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for network in MUSCLES:
        table(folder, "bands", network)
        table(folder, "curves", network)
    row = {"image": "a.nii.gz", "dice": 0.8, "distance": 4.5, "error": -12.0}
    bad = {"dice": 0.0, "distance": float("nan"), "error": -100.0}
    names = ("Vastus lateralis", "Rectus femoris")
    write_rows(
        folder / "real-sub-05.tsv",
        [row | {"structure": names[0]}, row | bad | {"structure": names[1]}],
    )
    return folder


def test_figures(tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tables), "--figures", str(tmp_path / "figures")]) == 0
    figures = {path.name: path.read_text() for path in (tmp_path / "figures").iterdir()}
    stems = [f"{kind}-{name}" for kind in ("bands", "curves") for name in ("lower-leg", "hip")]
    expected = {*stems, "curves", "real-sub-05"}
    assert set(figures) == {f"accuracy-{name}.svg" for name in expected}
    assert len(capsys.readouterr().out.splitlines()) == len(expected)
    for name, text in figures.items():
        assert len(text) < 150_000, name
        assert str(tmp_path) not in text
        assert not re.search(r"20\d\d-\d\d|<dc:date|/home|/tmp", text)
    for name in ("bands-hip", "curves-hip"):
        assert "Quadratus femoris" in figures[f"accuracy-{name}.svg"]
    for word in ("lower leg", "hip", "mirrored", "slice distance", "metal"):
        assert word in figures["accuracy-curves.svg"]
    assert "none found" in figures["accuracy-real-sub-05.svg"]
    assert "\N{MINUS SIGN}12" in figures["accuracy-real-sub-05.svg"]


def test_the_same_tables_give_the_same_bytes(tables: Path, tmp_path: Path) -> None:
    one = tmp_path / "one-table"
    one.mkdir()
    for name in ("bands-hip.tsv", "curves-lower_leg.tsv", "real-sub-05.tsv"):
        (one / name).write_bytes((tables / name).read_bytes())
    for turn in ("a", "b"):
        assert main(["plot", str(one), "--figures", str(tmp_path / turn)]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_without_tables_there_is_nothing_to_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(tmp_path), "--figures", str(tmp_path)]) == 1
    assert "no table" in capsys.readouterr().err


def test_a_missed_muscle_has_no_distance_but_counts() -> None:
    rows = [
        {"factor": "band", "value": "1", "label": 55, "volume": 10.0, "found": f, "dice": d}
        | {"distance": away}
        for f, d, away in ((9.0, 0.8, 4.0), (0.0, 0.0, float("nan")))
    ]
    assert summary(rows, "dice") == pytest.approx(0.4)
    assert summary(rows, "distance") == 4.0
    assert summary(rows, "error") == pytest.approx(55.0)
    found = grid(rows, "dice", [("band", "1"), ("band", "2")], [55])
    assert found[0, 0] == pytest.approx(0.4)
    assert np.isnan(found[0, 1])


@pytest.mark.parametrize("study", ["bands", "curves"])
def test_every_muscle_is_printed(
    study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TELL[study](table(tmp_path, study, "hip").rows)
    out = capsys.readouterr().out
    assert out.count("Gluteus medius") >= 3
    assert "HD95, mm" in out
    assert "volume error, %" in out
    assert ("stored otherwise: 0 of" in out) == (study == "curves")
