from __future__ import annotations

import json
from pathlib import Path

import pytest

from legseg_bids.bids.metadata import (
    by_folder,
    echo_time,
    image_type,
    positive_number,
    read_metadata,
)
from legseg_bids.errors import ImageError

IMAGE = "sub-1/anat/sub-1_acq-d_echo-1_MEGRE.nii.gz"


def read(root: Path, sidecars: dict[str, object]) -> dict[str, object]:
    for name, content in sidecars.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_metadata(root / IMAGE, root, by_folder(root / name for name in sidecars))


def test_the_nearer_and_the_more_specific_sidecar_wins(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            "sub-1/anat/sub-1_acq-d_echo-1_MEGRE.json": {"EchoTime": 0.001},
            "sub-1/anat/sub-1_MEGRE.json": {"EchoTime": 0.5, "FlipAngle": 3},
            "acq-d_MEGRE.json": {"FlipAngle": 9, "MagneticFieldStrength": 3},
            "MEGRE.json": {"MagneticFieldStrength": 1.5, "Manufacturer": "A"},
        },
    )
    expected = {"EchoTime": 0.001, "FlipAngle": 3, "MagneticFieldStrength": 3, "Manufacturer": "A"}
    assert found == expected


@pytest.mark.parametrize("other", ["T1w.json", "echo-2_MEGRE.json", "sub-2/anat/sub-1_MEGRE.json"])
def test_sidecars_of_other_images_do_not_apply(tmp_path: Path, other: str) -> None:
    assert read(tmp_path, {other: {"EchoTime": 1}}) == {}


@pytest.mark.parametrize("content", ["{", "[1]", "3"])
def test_a_broken_sidecar_is_an_error_of_this_image(tmp_path: Path, content: str) -> None:
    with pytest.raises(ImageError, match=r"MEGRE\.json.*expected"):
        read(tmp_path, {"MEGRE.json": content})


def test_a_broken_link_to_a_sidecar_is_explained(tmp_path: Path) -> None:
    (tmp_path / "MEGRE.json").symlink_to("nowhere")
    with pytest.raises(ImageError, match="datalad get"):
        read_metadata(tmp_path / IMAGE, tmp_path, by_folder([tmp_path / "MEGRE.json"]))


@pytest.mark.parametrize("value", [None, "3", True, 0, -1, float("nan"), float("inf"), [3]])
def test_only_positive_finite_numbers_count(value: object) -> None:
    assert positive_number({"B": value}, "B") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.00345, (0.00345, False)), (4.5, (0.0045, True)), ([1, 2], (None, False))],
)
def test_echo_times_in_seconds_or_milliseconds(value: object, expected: object) -> None:
    assert echo_time({"EchoTime": value}) == expected


def test_image_type_of_any_shape() -> None:
    assert image_type({"ImageType": ["A", 1]}) == ("A", "1")
    assert image_type({"ImageType": 7}) == ()
    assert image_type({}) == ()
