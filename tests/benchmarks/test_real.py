"""A derivative against reference labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from benchmarks.accuracy.command import main
from benchmarks.accuracy.tables import read_table

NAME = "sub-1/anat/sub-1_dseg.nii.gz"


def write(path: Path, data: np.ndarray, spacing: float = 2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = nib.nifti1.Nifti1Image
    nib.save(image(data.astype(np.uint8), np.diag([spacing, spacing, 5.0, 1.0])), path)


def two_legs() -> tuple[np.ndarray, np.ndarray]:
    """Ours with rectus femoris left and right, and the reference with both as 2."""
    ours = np.zeros((20, 10, 4), int)
    ours[2:6, 2:6], ours[12:16, 2:6] = 61, 62
    reference = np.where(ours > 0, 2, 0)
    reference[..., 3] = 0
    return ours, reference


def test_sides_are_pooled_and_only_covered_slices_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, reference = two_legs()
    ours[2] = 0
    write(tmp_path / "out" / NAME, ours)
    write(tmp_path / "ref" / NAME, reference)
    words = ["real", str(tmp_path / "out"), str(tmp_path / "ref"), "--scheme", "thigh_partial"]
    assert main([*words, "--name", "me", "--out", str(tmp_path)]) == 0
    (row,) = read_table(tmp_path / "real-me.tsv")
    assert row["structure"] == "Rectus femoris"
    assert row["dice"] == pytest.approx(2 * 28 / (28 + 32))
    assert row["error"] == pytest.approx(-12.5)
    assert row["distance"] == pytest.approx(2.0)
    assert row["volume"] == pytest.approx(3 * 32 * 20 / 1000)
    assert "Rectus femoris" in capsys.readouterr().out


def test_within_the_slices_that_the_reference_has_of_it(tmp_path: Path) -> None:
    ours, reference = two_legs()
    reference[..., 0] = 0
    reference[15, 9, 0] = 3  # covered, by another structure
    reference[2:6, 2:6, 1] = 0  # one side is enough
    write(tmp_path / "out" / NAME, ours)
    write(tmp_path / "ref" / NAME, reference)
    words = ["real", str(tmp_path / "out"), str(tmp_path / "ref"), "--scheme", "thigh_partial"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    other, row = sorted(read_table(tmp_path / "real-real.tsv"), key=lambda r: r["structure"])[::-1]
    assert row["structure"] == "Rectus femoris"
    assert row["dice"] == pytest.approx(2 * 48 / (48 + 96))
    assert row["within"] == pytest.approx(2 * 48 / (48 + 64))
    assert other["within"] == 0.0


def test_a_missing_output_has_found_nothing(tmp_path: Path) -> None:
    write(tmp_path / "ref" / NAME, two_legs()[0])
    (tmp_path / "out").mkdir()
    words = ["real", str(tmp_path / "out"), str(tmp_path / "ref"), "--out", str(tmp_path)]
    assert main(words) == 0
    rows = read_table(tmp_path / "real-real.tsv")
    assert [(r["structure"], r["dice"], r["error"]) for r in rows] == [
        ("Rectus femoris left", 0.0, -100.0),
        ("Rectus femoris right", 0.0, -100.0),
    ]


@pytest.mark.parametrize(
    ("reference", "words", "said"),
    [(None, (), "no "), (3.0, (), "same grid"), (2.0, ("--scheme", "x"), "thigh_partial")],
)
def test_mistakes_are_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reference: float | None,
    words: tuple[str, ...],
    said: str,
) -> None:
    write(tmp_path / "out" / NAME, two_legs()[0])
    (tmp_path / "ref").mkdir()
    if reference:
        write(tmp_path / "ref" / NAME, two_legs()[1], reference)
    call = ["real", str(tmp_path / "out"), str(tmp_path / "ref"), "--out", str(tmp_path), *words]
    assert main(call) == 1
    assert said in capsys.readouterr().err
