from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from legseg_bids.cli.augment_sheet import main, read_sample
from legseg_bids.errors import ExitCode, ImageError
from legseg_bids.train.augment import read_augmentation
from legseg_bids.train.augment.sheet import TILE, TITLE, draw_sheet, label_colours

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
IMAGE = SAMPLE / "sub-01/anat/sub-01_acq-outphase_chunk-1_T1w.nii.gz"
TRUTH = SAMPLE / "derivatives/truth/sub-01/anat"
LABELS = TRUTH / "sub-01_acq-outphase_chunk-1_seg-muscles_dseg.nii.gz"
CALF = TRUTH / "sub-01_acq-outphase_chunk-2_seg-muscles_dseg.nii.gz"


def test_one_row_for_each_and_one_for_all() -> None:
    sample = read_sample(IMAGE, LABELS)
    table = {"rotation": {"in_plane": [30, 30]}, "blur": {}}
    sheet = np.asarray(draw_sheet(sample, read_augmentation(table), examples=2, seed=4))
    rows, columns = 3, 3
    height = sheet.shape[0] // rows
    assert sheet.shape[1] == columns * TILE
    originals = [sheet[r * height + TITLE : (r + 1) * height, :TILE] for r in range(rows)]
    assert np.array_equal(originals[0], originals[2])
    turned = sheet[TITLE:height, TILE : 2 * TILE]
    assert np.abs(turned.astype(int) - originals[0]).mean() > 5
    present = torch.unique(sample.labels).tolist()
    colours = {tuple(c) for c in originals[0].reshape(-1, 3).tolist()}
    shown = [n for n, c in label_colours([n for n in present if n > 0]).items() if c in colours]
    assert len(shown) > 15


def test_left_is_left_and_front_is_up() -> None:
    """The limb at low x stands at the left of the picture, high y at its top."""
    sample = read_sample(IMAGE, LABELS)
    sample.image[:] = 0
    sample.image[..., -20:, :20] = 100.0
    sample.image[..., 0, -1] = 50.0
    sheet = np.asarray(draw_sheet(sample, read_augmentation({"blur": {}}), examples=1))
    first = sheet[TITLE : sheet.shape[0] // 2, :TILE].mean(-1)
    high, wide = first.shape
    assert first[: high // 8, : wide // 8].mean() > 150
    assert first[: high // 8, -wide // 8 :].mean() < 20
    assert first[-high // 8 :, : wide // 8].mean() < 20


def test_command_writes_a_picture(tmp_path: Path, capsys) -> None:
    table = tmp_path / "mine.toml"
    table.write_text("[augment.mirror]\n[augment.elastic]\n")
    sheet = tmp_path / "made" / "sheet.png"
    command = [str(IMAGE), str(LABELS), str(sheet), "--augmentation", str(table)]
    assert main([*command, "--examples", "1", "--slice", "3"]) == 0
    assert "wrote" in capsys.readouterr().out
    with Image.open(sheet) as picture:
        assert picture.width == 2 * TILE
    assert [p.name for p in sheet.parent.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--augmentation", "arms"], "expected a .toml file or one of legs, qmritools"),
        (["--slice", "99"], "--slice is 99; expected 0 to"),
        (["--examples", "0"], "too small"),
    ],
)
def test_mistakes_on_the_command_line(more, message: str, tmp_path: Path, capsys) -> None:
    assert main([str(IMAGE), str(LABELS), str(tmp_path / "s.png"), *more]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s.png").exists()


def test_labels_of_another_image_are_refused(tmp_path: Path, capsys) -> None:
    assert main([str(IMAGE), str(CALF), str(tmp_path / "s.png")]) == ExitCode.FAILED
    assert "same grid" in capsys.readouterr().err
    with pytest.raises(ImageError, match=r"none\.nii"):
        read_sample(IMAGE, tmp_path / "none.nii")


def test_axes_are_canonical() -> None:
    """z from the feet up, y to the front, x from the patient's left; spacing in that order."""
    import nibabel as nib

    sample = read_sample(IMAGE, LABELS)
    canonical = nib.as_closest_canonical(nib.load(LABELS))
    assert np.array_equal(sample.labels.numpy(), canonical.get_fdata().transpose(2, 1, 0))
    assert sample.spacing == pytest.approx(canonical.header.get_zooms()[::-1], rel=1e-4)
