"""Layouts beside plain BIDS, from the files on disk to the stations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from discovered import only, taken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legseg_bids.bids.candidates import count_volumes
from legseg_bids.bids.dataset import Dataset
from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.stations import Discovery

THREE_TESLA = {"MagneticFieldStrength": 3}
Find = Callable[[Mapping[str, Mapping[str, Any]]], Discovery]


@pytest.fixture
def find(build, nearest_odd) -> Find:
    """Stations of ``{path without extension: sidecar}``; ``_volumes`` makes a file 4-D."""

    def _find(images: Mapping[str, Mapping[str, Any]]) -> Discovery:
        root = build(images)
        for stem, sidecar in images.items():
            if "_volumes" in sidecar:
                data = np.ones((4, 5, 3, sidecar["_volumes"]), np.int16)
                nib.save(nib.Nifti1Image(data, np.eye(4)), root / f"{stem}.nii.gz")
        return discover(index(root), nearest_odd)

    return _find


def below(folder: str, *names: str, **sidecar: Any) -> dict[str, dict[str, Any]]:
    return {f"sub-X/{folder}/sub-X_{name}": sidecar for name in names}


# ------------------------------------------------------------------ QMRITools


def test_qmritools_stacks(find: Find) -> None:
    ends = ("outph", "inph", "wat", "fat", "fatfr", "t2star")
    names = [f"ses-001_stk-{s}_megre_dix_{end}" for s in ("UPLEG", "LOLEG") for end in ends]
    found = find(below("ses-001/dix", *names))
    assert [station.output_name for station in found.stations] == [
        "sub-X/ses-001/anat/sub-X_ses-001_acq-LOLEG_MEGRE.nii.gz",
        "sub-X/ses-001/anat/sub-X_ses-001_acq-UPLEG_MEGRE.nii.gz",
    ]
    assert {station.family for station in found.stations} == {"sub-X|ses-001||megre_dix"}
    assert taken(found.stations[1]) == {
        "opposed": "sub-X_ses-001_stk-UPLEG_megre_dix_outph",
        "water": "sub-X_ses-001_stk-UPLEG_megre_dix_wat",
        "fat": "sub-X_ses-001_stk-UPLEG_megre_dix_fat",
    }
    assert found.skipped == ()


def test_qmritools_water_and_fat(find: Find) -> None:
    station = only(find(below("dix", "stk-1_megre_dix_wat", "stk-1_megre_dix_fat")))
    assert (station.kind, station.output_name) == (
        "water_fat",
        "sub-X/anat/sub-X_acq-1_MEGRE.nii.gz",
    )


def test_qmritools_raw_echoes_real_and_imaginary(find: Find) -> None:
    echoes = {"EchoTime": [0.00115, 0.0023], "_volumes": 2, **THREE_TESLA}
    names = ("stk-D1_megre_dix_real", "stk-D1_megre_dix_imag", "stk-D1_megre_dix_ph")
    station = only(find(below("dix", *names, **echoes)))
    assert taken(station) == {
        "real": "sub-X_stk-D1_megre_dix_real",
        "imaginary": "sub-X_stk-D1_megre_dix_imag",
    }
    assert station.volumes == {"real": 0, "imaginary": 0}


# ------------------------------------------------------------------ TPTBox


def test_tptbox_parts(find: Find) -> None:
    parts = ("outphase", "inphase", "water", "fat")
    names = [f"acq-ax_chunk-{c}_part-{part}_vibe" for c in (2, 3) for part in parts]
    found = find(below("vibe", *names))
    assert [station.output_name for station in found.stations] == [
        "sub-X/anat/sub-X_acq-axoutphase_chunk-2_T1w.nii.gz",
        "sub-X/anat/sub-X_acq-axoutphase_chunk-3_T1w.nii.gz",
    ]
    assert all(set(s.files) == {"opposed", "water", "fat"} for s in found.stations)
    assert len({station.family for station in found.stations}) == 1


def test_tptbox_first_opposed_echo(find: Find) -> None:
    parts = ("eco0-opp1", "eco1-pip1", "eco2-opp2", "fat-fraction", "r2s")
    station = only(find(below("mevibe", *(f"part-{part}_mevibe" for part in parts))))
    assert taken(station) == {"opposed": "sub-X_part-eco0-opp1_mevibe"}


def test_tptbox_in_phase_only(find: Find) -> None:
    found = find(below("vibe", "part-inphase_vibe"))
    assert "is in phase" in found.skipped[0].reason


# ------------------------------------------------------------------ ORMIR-MIDS


def test_ormir_echoes_along_the_fourth_axis_in_milliseconds(find: Find) -> None:
    sidecar = {"EchoTime": [2.3, 3.45, 4.6], "FourthDimension": "EchoTime", "_volumes": 3}
    station = only(find(below("mr-anat", "MEGRE", "part-phase_MEGRE", **sidecar, **THREE_TESLA)))
    assert station.volumes == {"opposed": 1}
    assert station.output_name == "sub-X/anat/sub-X_MEGRE.nii.gz"
    assert station.metadata["EchoTime"] == pytest.approx(0.00345)
    assert "MEGRE.nii.gz (volume 1) as opposed" in station.reason
    assert "of 3 echoes, TE 3.45 ms" in station.reason
    assert "read as milliseconds" in station.reason


def test_ormir_real_and_imaginary(find: Find) -> None:
    sidecar = {"EchoTime": [2.3, 3.45], "_volumes": 2, **THREE_TESLA}
    station = only(find(below("mr-anat", "part-real_MEGRE", "part-imag_MEGRE", **sidecar)))
    assert station.volumes == {"real": 1, "imaginary": 1}
    assert station.output_name == "sub-X/anat/sub-X_MEGRE.nii.gz"
    assert station.uris()[0] == "bids:raw:sub-X/mr-anat/sub-X_part-real_MEGRE.nii.gz"


def test_ormir_reconstructed_images_stand_beside_the_echoes(find: Find) -> None:
    echoes = {"EchoTime": [2.3, 3.45], "_volumes": 2, **THREE_TESLA}
    images = {
        **below("mr-anat", "MEGRE", **echoes),
        **below("mr-quant", "outphase", "water", "fat"),
    }
    assert set(taken(only(find(images))).values()) == {
        "sub-X_outphase",
        "sub-X_water",
        "sub-X_fat",
    }


def test_ormir_patient_files_are_not_read(find: Find, build) -> None:
    images = below("mr-anat", "MEGRE", EchoTime=[3.45], **THREE_TESLA)
    root = build(images)
    patient = root / "sub-X/mr-anat/sub-X_MEGRE_patient.json"
    patient.write_text(json.dumps({"BodyPart": "Jane Doe"}))
    station = only(find(images))
    assert patient not in index(root).sidecars
    assert "BodyPart" not in station.metadata
    assert station.volumes == {}


@pytest.mark.parametrize("held", [1, 4])
def test_volumes_and_echo_times_must_agree(find: Find, held: int) -> None:
    sidecar = {"EchoTime": [2.3, 3.45], "_volumes": held, **THREE_TESLA}
    found = find(below("mr-anat", "MEGRE", **sidecar))
    assert not found.stations
    assert f"holds {held} volume(s), but its sidecar lists 2" in found.skipped[0].reason
    assert len(found.skipped[0].files) == 1


def test_volumes_of_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(b"no image")
    assert count_volumes(tmp_path / "x.nii.gz") is None
    assert count_volumes(tmp_path / "absent.nii.gz") is None


# ------------------------------------------------------------------ BIDS


def test_complex_echoes_of_bids(find: Find) -> None:
    images: dict[str, dict[str, Any]] = {}
    for echo, time in ((1, 0.0023), (2, 0.00345)):
        for part in ("real", "imag"):
            images |= below("anat", f"echo-{echo}_part-{part}_MEGRE", EchoTime=time, **THREE_TESLA)
    station = only(find(images))
    assert taken(station) == {
        "real": "sub-X_echo-2_part-real_MEGRE",
        "imaginary": "sub-X_echo-2_part-imag_MEGRE",
    }
    assert station.output_name == "sub-X/anat/sub-X_echo-2_MEGRE.nii.gz"
    assert "part" not in station.entities


def test_a_magnitude_is_preferred_to_real_and_imaginary(find: Find) -> None:
    station = only(
        find(below("anat", *(f"acq-out_part-{p}_T1w" for p in ("mag", "real", "imag"))))
    )
    assert taken(station) == {"opposed": "sub-X_acq-out_part-mag_T1w"}


def test_an_opposed_image_in_two_parts(find: Find) -> None:
    station = only(find(below("anat", "acq-out_part-real_T1w", "acq-out_part-imag_T1w")))
    assert set(station.files) == {"real", "imaginary"}
    assert station.kind == "opposed"


def test_the_contrast_in_the_reconstruction_label(find: Find) -> None:
    names = [f"acq-dixon_rec-{word}_T1w" for word in ("outphase", "inphase", "water", "fat")]
    station = only(find(below("anat", *names)))
    assert set(station.files) == {"opposed", "water", "fat"}


# ------------------------------------------------------------------ names


def test_of_two_stations_with_one_output_the_first_is_kept(find: Find) -> None:
    found = find(below("anat", "acq-out+_T1w", "acq-out+%_T1w", "acq-out+%%_T1w"))
    assert only(found).source_name == "sub-X/anat/sub-X_acq-out+%%_T1w.nii.gz"
    assert len(found.skipped) == 2
    assert all("would both give sub-X_acq-out+_seg-muscles_dseg" in str(s) for s in found.skipped)


def test_hostile_labels_neither_stop_others_nor_reach_an_output(find: Find) -> None:
    names = ("acq-out; rm -rf ~_T1w", "acq-out'\"_run-1_T1w", "acq-out_run-....x_T1w")
    found = find({**below("anat", *names), "sub-../anat/sub-.._acq-out_T1w": {}})
    assert {station.output_name for station in found.stations} == {
        "sub-X/anat/sub-X_acq-outrmrf_T1w.nii.gz",
        "sub-X/anat/sub-X_acq-out_run-1_T1w.nii.gz",
        "sub-X/anat/sub-X_acq-outx_T1w.nii.gz",
    }
    assert [skip.subject for skip in found.skipped] == [".."]


def test_reasons_are_one_line(find: Find) -> None:
    found = find(below("anat", "acq-in\nphase\x1b[31m_T1w", "acq-out\x07_T1w"))
    lines = [*(station.reason for station in found.stations), *map(str, found.skipped)]
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


WORDS = st.text(st.characters(exclude_characters="/\0"), max_size=20)
STEMS = st.one_of(
    WORDS,
    st.builds("sub-1_acq-{}_{}".format, WORDS, st.sampled_from(["T1w", "MEGRE", "vibe", "outph"])),
)


@given(st.lists(STEMS, max_size=5), st.sampled_from(["anat", "dix", "mr-quant", "..", ""]))
def test_discovery_survives_every_name(stems: list[str], folder: str) -> None:
    root = Path("/no/such/dataset")
    images = tuple(root / "sub-1" / folder / f"{stem}.nii.gz" for stem in stems)
    found = discover(Dataset(root, ("1",), images, ()), lambda times, b0: 0)
    assert all(str(skip).isprintable() for skip in found.skipped)
    for station in found.stations:
        assert re.fullmatch(r"sub-1/anat/sub-1_[A-Za-z0-9+_-]*\w+\.nii\.gz", station.output_name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
KEYS = ("EchoTime", "MagneticFieldStrength", "ImageType", "TablePosition", "BodyPart")


@given(st.one_of(JSON, st.fixed_dictionaries(dict.fromkeys(KEYS, JSON))))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_discovery_survives_every_sidecar(build, content: Any) -> None:
    root = build({"sub-1/anat/sub-1_acq-d_echo-1_MEGRE": {}, "sub-1/anat/sub-1_acq-out_T1w": {}})
    for path in root.glob("sub-1/anat/*.json"):
        path.write_text(json.dumps(content))
    images = tuple(sorted(root.glob("sub-1/anat/*.nii.gz")))
    sidecars = tuple(sorted(root.glob("sub-1/anat/*.json")))
    found = discover(Dataset(root, ("1",), images, sidecars), lambda times, b0: 0)
    assert found.stations or found.skipped
