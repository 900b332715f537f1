from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from skeleton import tree

from legseg_bids.cli.synth import main
from legseg_bids.synth.person import healthy, simulate_scan, station_height
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.shape import Grid


def test_scan_is_consistent(anatomy) -> None:
    grid = Grid((4, 36, 80), (20.0, 4.0, 4.0))
    scan = simulate_scan(anatomy, "thigh", grid, 3, healthy(Ranges()))
    assert scan.labels.shape == (80, 36, 4)
    labels = scan.labels.data
    assert {55, 56, 103, 104} <= set(np.unique(labels).tolist())
    x = np.nonzero(labels == 55)[0].mean(), np.nonzero(labels == 56)[0].mean()
    assert x[0] < x[1]  # the patient's left leg is at low x
    muscle = labels == 55
    assert scan.water.data[muscle].mean() > 3 * scan.fat.data[muscle].mean()
    fat = labels == 151
    assert scan.fat.data[fat].mean() > 3 * scan.water.data[fat].mean()


def test_calf_needs_a_map_with_calves(anatomy) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="ends above the calf"):
        station_height(replace(anatomy, has_lower_leg=False), "calf")


def test_command_writes_a_dataset(atlas_dir: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "ds"
    code = main(
        [
            str(out),
            "--atlas",
            str(atlas_dir),
            "--cache",
            str(tmp_path / "c"),
            "--anatomies",
            "vhm",
            "--slices",
            "3",
            "--pixels",
            "60",
            "32",
            "--pixel",
            "6",
        ]
    )
    assert code == 0
    assert "wrote 6 images" in capsys.readouterr().out
    files = tree(out)
    assert "sub-01/anat/sub-01_acq-outphase_chunk-1_T1w.nii.gz" in files
    assert "sub-02/anat/sub-02_acq-dixonfat_chunk-2_T1w.json" in files
    truth = "derivatives/truth/sub-02/anat/sub-02_acq-dixonwater_chunk-1_seg-muscles_dseg.nii.gz"
    assert truth in files
    image = nib.load(out / "sub-02/anat/sub-02_acq-dixonwater_chunk-1_T1w.nii.gz")
    labels = nib.load(out / truth)
    np.testing.assert_allclose(image.affine, labels.affine)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


def test_command_says_what_is_missing(tmp_path: Path, capsys) -> None:
    code = main([str(tmp_path / "o"), "--atlas", str(tmp_path), "--cache", str(tmp_path)])
    assert code == 1
    assert "vhm_labels.nii.gz not found" in capsys.readouterr().err
