"""Where the pictures of a report come from, and what is said when they do not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from reported import Study, affine_of, grey_image, label_image, write_sidecar, write_study

from legseg_bids.bids.finished import FinishedImage, finished_images
from legseg_bids.errors import ImageError
from legseg_bids.interfaces.report import Sources, WriteReport
from legseg_bids.report.scene import Scene

STEM = "sub-01/anat/sub-01_acq-opp_chunk-1"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path)


def image_of(study: Study, stem: str = "chunk-1_seg-muscles") -> FinishedImage:
    images = finished_images(study.output_dir, "01")
    return next(image for image in images if image.stem.endswith(stem))


def read(study: Study, stem: str = "chunk-1_seg-muscles") -> Scene:
    return Sources(study.output_dir, study.bids_dir).read(image_of(study, stem))


def test_the_image_that_was_segmented_lies_below_its_labels(study: Study) -> None:
    scene = read(study)
    assert scene.problem == ""
    assert np.array_equal(scene.labels, label_image())
    assert scene.background[14, 24, 0] == 255
    assert scene.background[45, 24, 0] == 170
    assert scene.background[0, 0, 0] == 0


@pytest.mark.parametrize("flips", [(-1, 1, 1), (-1, -1, 1), (1, 1, -1)])
def test_axes_are_canonical_however_the_files_lie(
    study: Study, flips: tuple[int, int, int]
) -> None:
    turn = tuple(slice(None, None, flip) for flip in flips)
    step = np.diag([*flips, 1.0])
    for path, data in (
        (study.output_dir / f"{STEM}_seg-muscles_dseg.nii.gz", label_image()),
        (study.bids_dir / f"{STEM}_T1w.nii.gz", grey_image()),
    ):
        nib.save(nib.Nifti1Image(data[turn], affine_of() @ step), path)
    digest = hashlib.sha256((study.bids_dir / f"{STEM}_T1w.nii.gz").read_bytes()).hexdigest()
    uris = [f"bids:raw:{STEM}_T1w.nii.gz"]
    write_sidecar(study.output_dir, f"{STEM}_seg-muscles", uris, SourceSHA256={"opposed": digest})
    scene = read(study)
    assert np.array_equal(scene.labels, label_image())
    assert scene.background[14, 24, 0] > scene.background[45, 24, 0] > 100


def test_a_leg_shows_all_its_stations(study: Study) -> None:
    scene = read(study, "desc-merged")
    assert scene.labels.shape == (60, 36, 17)
    assert (scene.background[14, 24] == 255).all()
    assert scene.problem == ""


def test_a_leg_shows_the_stations_that_are_left(study: Study) -> None:
    (study.bids_dir / f"{STEM}_T1w.nii.gz").unlink()
    scene = read(study, "desc-merged")
    assert (scene.background[14, 24, :8] == 0).all()
    assert (scene.background[14, 24, 9:] == 255).all()
    assert "chunk-1_T1w.nii.gz is gone" in scene.problem
    assert "chunk-2" not in scene.problem


def test_a_leg_without_any_source_has_no_image(study: Study) -> None:
    for path in study.bids_dir.rglob("*.nii.gz"):
        path.unlink()
    scene = read(study, "desc-merged")
    assert scene.grey is None
    assert scene.problem.count("is gone") == 2


def test_an_image_that_has_changed_is_not_shown(study: Study) -> None:
    nib.save(nib.Nifti1Image(grey_image() + 1, affine_of()), study.bids_dir / f"{STEM}_T1w.nii.gz")
    scene = read(study)
    assert scene.grey is None
    assert "not what it was when it was segmented" in scene.problem


def test_without_a_dataset_it_is_said(study: Study) -> None:
    scene = Sources(study.output_dir, None).read(image_of(study))
    assert scene.grey is None
    assert "run with BIDS_DIR" in scene.problem


def test_water_and_fat_are_put_together_again(study: Study) -> None:
    files = {"water": np.full(label_image().shape, 300.0), "fat": grey_image()}
    sums, uris = {}, []
    for role, data in files.items():
        path = study.bids_dir / f"sub-01/anat/sub-01_{role}.nii.gz"
        nib.save(nib.Nifti1Image(data.astype(np.float32), affine_of()), path)
        sums[role] = hashlib.sha256(path.read_bytes()).hexdigest()
        uris.append(f"bids:raw:sub-01/anat/sub-01_{role}.nii.gz")
    write_sidecar(study.output_dir, f"{STEM}_seg-muscles", uris, SourceSHA256=sums)
    scene = read(study)
    assert scene.background[14, 24, 0] == 255  # |300 - 900|
    assert scene.background[45, 24, 0] == 128  # |300 - 600|


def test_one_volume_of_a_file_is_taken(study: Study) -> None:
    path = study.bids_dir / "sub-01/anat/sub-01_MEGRE.nii.gz"
    data = np.stack([np.zeros_like(grey_image()), grey_image()], axis=-1)
    nib.save(nib.Nifti1Image(data, affine_of()), path)
    digest = f"{hashlib.sha256(path.read_bytes()).hexdigest()}[1]"
    uris = ["bids:raw:sub-01/anat/sub-01_MEGRE.nii.gz"]
    write_sidecar(study.output_dir, f"{STEM}_seg-muscles", uris, SourceSHA256={"opposed": digest})
    assert read(study).background[14, 24, 0] == 255


@pytest.mark.parametrize("name", ["../secret.nii.gz", "/etc/passwd", "sub-01/../../secret.nii.gz"])
def test_nothing_outside_the_dataset_is_read(study: Study, name: str) -> None:
    secret = study.bids_dir.parent / "secret.nii.gz"
    nib.save(nib.Nifti1Image(grey_image(), affine_of()), secret)
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    uris = [f"bids:raw:{name}"]
    write_sidecar(study.output_dir, f"{STEM}_seg-muscles", uris, SourceSHA256={"opposed": digest})
    assert read(study).grey is None


def test_an_image_of_another_grid_is_not_shown(study: Study) -> None:
    path = study.bids_dir / f"{STEM}_T1w.nii.gz"
    nib.save(nib.Nifti1Image(grey_image()[:30], affine_of()), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    uris = [f"bids:raw:{STEM}_T1w.nii.gz"]
    write_sidecar(study.output_dir, f"{STEM}_seg-muscles", uris, SourceSHA256={"opposed": digest})
    assert "expected the same grid" in read(study).problem


def test_damaged_labels_are_an_error(study: Study) -> None:
    (study.output_dir / f"{STEM}_seg-muscles_dseg.nii.gz").write_bytes(b"no image")
    with pytest.raises(ImageError, match="run the participant again"):
        read(study)


def test_sources_are_counted(study: Study) -> None:
    sources, image = Sources(study.output_dir, study.bids_dir), image_of(study, "desc-merged")
    assert sources.available(image) == 2
    (study.bids_dir / f"{STEM}_T1w.nii.gz").unlink()
    assert sources.available(image) == 1
    assert Sources(study.output_dir, None).available(image) == 0


def test_the_step_writes_the_page(study: Study) -> None:
    (study.output_dir / "dataset_description.json").write_text(json.dumps({}))
    trouble = {"image": "a.nii.gz", "status": "failed", "message": "is empty"}
    step = WriteReport(
        subject="01",
        output_dir=str(study.output_dir),
        bids_dir=str(study.bids_dir),
        troubles=[trouble],
    )
    path = Path(step.run().outputs.report)
    assert path == study.output_dir / "sub-01.html"
    assert "is empty" in path.read_text(encoding="utf-8")
