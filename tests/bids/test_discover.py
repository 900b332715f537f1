from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from discovered import only, taken

from legseg_bids.bids.dataset import Dataset
from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.filters import Filters
from legseg_bids.bids.names import assert_unique, output_path
from legseg_bids.bids.stations import Discovery, Station
from legseg_bids.errors import NoInput

WATER, FAT = {"ImageType": ["DERIVED", "WATER"]}, {"ImageType": ["DERIVED", "FAT"]}
THREE_TESLA = {"MagneticFieldStrength": 3}


def anat(**sidecars: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """``a__b_T1w`` stands for ``acq-a_…``: keys are file names with ``__`` for ``-``."""
    return {
        f"sub-1/anat/sub-1_{name.replace('__', '-')}": sidecar
        for name, sidecar in sidecars.items()
    }


def echoes(times: list[Any], **common: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for number, time in enumerate(times, 1):
        sidecar = {**common} if time is None else {"EchoTime": time, **common}
        found |= anat(**{f"acq__d_echo__{number}_MEGRE": sidecar})
    return found


@pytest.fixture
def find(build, nearest_odd):
    def _find(images: Mapping[str, Mapping[str, Any]]) -> Discovery:
        return discover(index(build(images)), nearest_odd)

    return _find


def test_an_acquired_opposed_phase_image(find) -> None:
    station = only(find(anat(acq__outphase_T1w={"BodyPart": "LEG", "PatientName": "X"})))
    assert station.kind == "opposed"
    assert taken(station) == {"opposed": "sub-1_acq-outphase_T1w"}
    assert station.metadata == {"BodyPart": "LEG"}
    assert station.source_name == "sub-1/anat/sub-1_acq-outphase_T1w.nii.gz"
    assert "says 'outphase'" in station.reason


def test_the_opposed_echo_is_chosen_by_time_and_field(find) -> None:
    station = only(find(echoes([0.0023, 0.00345, 0.0046], **THREE_TESLA)))
    assert station.kind == "echoes"
    assert taken(station) == {"opposed": "sub-1_acq-d_echo-2_MEGRE"}
    assert station.metadata["EchoTime"] == 0.00345
    assert "TE 3.45 ms at 3 T" in station.reason


def test_echo_times_in_milliseconds_are_converted_and_noted(find) -> None:
    station = only(find(echoes([2.3, 3.45], **THREE_TESLA)))
    assert station.metadata["EchoTime"] == pytest.approx(0.00345)
    assert "read as milliseconds" in station.reason


def test_only_magnitudes_are_echoes(find) -> None:
    times = {"EchoTime": 0.00345, **THREE_TESLA}
    images = anat(
        acq__d_echo__1_part__phase_MEGRE=times,
        acq__d_echo__1_part__mag_MEGRE=times,
        acq__d_echo__1_part__real_MEGRE=times,
    )
    assert taken(only(find(images))) == {"opposed": "sub-1_acq-d_echo-1_part-mag_MEGRE"}


def test_water_and_fat_make_a_station_named_after_water(find) -> None:
    station = only(find(anat(acq__dixonwater_T1w=WATER, acq__dixonfat_T1w=FAT)))
    assert station.kind == "water_fat"
    assert station.source.name == "sub-1_acq-dixonwater_T1w.nii.gz"
    assert station.uris() == [
        "bids:raw:sub-1/anat/sub-1_acq-dixonwater_T1w.nii.gz",
        "bids:raw:sub-1/anat/sub-1_acq-dixonfat_T1w.nii.gz",
    ]


def test_water_fat_has_no_echo_time(find) -> None:
    images = anat(acq__w_T1w={**WATER, "EchoTime": 0.001}, acq__f_T1w={**FAT, "EchoTime": 0.001})
    assert "EchoTime" not in only(find(images)).metadata


def test_water_and_fat_accompany_an_opposed_image(find) -> None:
    images = anat(acq__dOUT_T1w={}, acq__dIN_T1w={}, acq__dW_T1w={}, acq__dF_T1w={})
    station = only(find(images))
    assert station.kind == "opposed"
    assert set(station.files) == {"opposed", "water", "fat"}
    assert station.source == station.files["opposed"]
    assert station.uris()[0].endswith("dOUT_T1w.nii.gz")


def test_water_and_fat_of_another_suffix_accompany_echoes(find) -> None:
    images = {
        **echoes([0.00115, 0.0023], **THREE_TESLA),
        **anat(acq__dW_T1w=WATER, acq__dF_T1w=FAT),
    }
    assert set(only(find(images)).files) == {"opposed", "water", "fat"}


def test_water_alone_beside_an_opposed_image_is_no_obstacle(find) -> None:
    found = find(anat(acq__dOUT_T1w={}, acq__dW_T1w=WATER))
    assert set(only(found).files) == {"opposed"}
    assert found.require_stations() == found.stations


@pytest.mark.parametrize("entity", ["chunk", "run"])
def test_other_entities_separate_stations(find, entity: str) -> None:
    images = anat(**{f"acq__out_{entity}__{n}_T1w": {} for n in (1, 2)})
    found = find(images)
    assert len(found.stations) == 2
    assert_unique(output_path(Path("out"), s.source_name) for s in found.stations)
    assert len({s.identifier for s in found.stations}) == 2


def test_other_acquisition_words_separate_stations(find) -> None:
    images = anat(
        acq__thighW_T1w=WATER, acq__thighF_T1w=FAT, acq__calfW_T1w=WATER, acq__calfF_T1w=FAT
    )
    assert {s.entities["acq"] for s in find(images).stations} == {"thighW", "calfW"}


def test_images_that_differ_in_suffix_only_give_one_output(find) -> None:
    station = only(find(anat(acq__out_FLASH={}, acq__out_T1w={})))
    assert taken(station) == {"opposed": "sub-1_acq-out_T1w"}


def test_sessions_are_separate(build, nearest_odd) -> None:
    stems = {f"sub-1/ses-{s}/anat/sub-1_ses-{s}_acq-out_T1w": {} for s in "ab"}
    found = discover(index(build(stems)), nearest_odd)
    assert [s.session for s in found.stations] == ["a", "b"]


def test_an_ambiguous_opposed_image_falls_back_on_the_echoes(find) -> None:
    images = anat(
        acq__opp_echo__1_MEGRE={"EchoTime": 0.0023, **THREE_TESLA},
        acq__opp_echo__2_MEGRE={"EchoTime": 0.00345, **THREE_TESLA},
    )
    station = only(find(images))
    assert station.query == "echoes"
    assert "all say that they are in opposed phase" in station.reason


def test_an_echo_without_time_is_left_out_with_a_note(find) -> None:
    station = only(find(echoes([None, 0.00345], **THREE_TESLA)))
    assert "echo-1_MEGRE.nii.gz left out" in station.reason


SKIPPED = [
    (anat(acq__dixonwater_T1w=WATER), "water image without its fat image"),
    (anat(acq__dixonfat_T1w=FAT), "fat image without its water image"),
    (anat(acq__inphase_T1w={}), "is in phase"),
    (anat(T1w={}), "does not say what it shows"),
    (anat(acq__fatsat_T1w={}), "does not say what it shows"),
    (anat(acq__outphase_T1w={"ImageType": ["IN_PHASE"]}), "is unclear: .*contradict"),
    (anat(acq__out_part__phase_T1w={}), "is a phase, real or imaginary image"),
    (echoes([None, None], **THREE_TESLA), r"no usable EchoTime \(seconds\)"),
    (echoes([[1, 2]], **THREE_TESLA), r"holds 1 volume\(s\), but its sidecar lists 2 echo times"),
    (echoes([[1, "x"]], **THREE_TESLA), r"no usable EchoTime"),
    (anat(acq__out_part__real_T1w={}), r"is one half of a complex image"),
    (echoes([0.00345]), r"no usable MagneticFieldStrength"),
    (echoes([None]), r"EchoTime .* and no MagneticFieldStrength"),
    (echoes([0.0023, 0.0046], **THREE_TESLA), "no echo of .* fits: no opposed echo"),
    (anat(acq__w_T1w=WATER, acq__w_rec__a_T1w=FAT), "contradict"),
]


@pytest.mark.parametrize(("images", "match"), SKIPPED)
def test_unusable_stations_are_reported(find, images, match: str) -> None:
    found = find(images)
    assert not found.stations
    assert all(skip.files for skip in found.skipped)
    with pytest.raises(NoInput, match=match):
        found.require_stations()


def test_two_pairs_of_one_suffix_are_refused(find) -> None:
    images = anat(
        acq__water_echo__1_T1w={}, acq__water_echo__2_T1w={}, acq__fat_T1w={}, acq__fat_PDw={}
    )
    assert "do not make one pair" in find(images).skipped[0].reason


def break_link(root: Path, name: str) -> None:
    path = root / "sub-1/anat" / name
    path.unlink()
    path.symlink_to("../../.git/annex/objects/nowhere")


def test_a_broken_link_stays_a_station_and_is_not_worked_around(build, nearest_odd) -> None:
    """It fails by name when it is read; |W - F| instead would give other labels elsewhere."""
    root = build(anat(acq__dOUT_T1w={}, acq__dW_T1w=WATER, acq__dF_T1w=FAT))
    break_link(root, "sub-1_acq-dOUT_T1w.nii.gz")
    station = only(discover(index(root), nearest_odd))
    assert station.files["opposed"].name == "sub-1_acq-dOUT_T1w.nii.gz"


def test_a_folder_called_like_an_image_is_reported(build, nearest_odd) -> None:
    root = build(anat(acq__dOUT_T1w={}))
    path = root / "sub-1/anat/sub-1_acq-dOUT_T1w.nii.gz"
    path.unlink()
    path.mkdir()
    skipped = discover(Dataset(root, ("1",), (path,), ()), nearest_odd).skipped
    assert "is no file" in skipped[0].reason


def test_a_broken_companion_only_costs_the_fat_fraction(build, nearest_odd) -> None:
    root = build(anat(acq__dOUT_T1w={}, acq__dW_T1w=WATER, acq__dF_T1w=FAT))
    break_link(root, "sub-1_acq-dF_T1w.nii.gz")
    station = only(discover(index(root), nearest_odd))
    assert set(station.files) == {"opposed"}
    assert "no fat fraction" in station.reason


# ------------------------------------------------------------------ images in phase


def with_phases(build, nearest_odd, *, broken: str = "", **stems: dict):  # type: ignore[no-untyped-def]
    """The only station, where in-phase images are looked for among its echoes."""
    root = build(anat(**stems))
    if broken:
        break_link(root, broken)

    def next_two(times: list[float], b0: float, opposed: int) -> tuple[int, int | None] | None:
        assert b0 == 3
        after = range(opposed + 1, len(times))
        return (after[0], after[1] if len(after) > 1 else None) if len(after) else None

    return only(discover(index(root), nearest_odd, choose_in_phase=next_two))


def echo(number: int, **more: object) -> dict:
    return {"EchoTime": 0.00115 * number, "MagneticFieldStrength": 3, **more}


def test_echoes_in_phase_are_taken_along(build, nearest_odd) -> None:
    stems = {f"echo__{n}_part__mag_MEGRE": echo(n + 2) for n in (1, 2, 3)}
    station = with_phases(build, nearest_odd, **stems)
    assert {role: path.name for role, path in station.files.items()} == {
        "opposed": "sub-1_echo-1_part-mag_MEGRE.nii.gz",
        "in_phase": "sub-1_echo-2_part-mag_MEGRE.nii.gz",
        "opposed_later": "sub-1_echo-3_part-mag_MEGRE.nii.gz",
    }
    assert "echo-2_part-mag_MEGRE.nii.gz as in_phase" in station.reason


def test_an_image_in_phase_is_taken_along_by_its_name(build, nearest_odd) -> None:
    station = with_phases(build, nearest_odd, acq__dOUT_T1w={}, acq__dIN_T1w={})
    assert station.files["in_phase"].name == "sub-1_acq-dIN_T1w.nii.gz"


@pytest.mark.parametrize(
    "stems",
    [
        {"acq__dOUT_T1w": {}, "acq__dIN_T2w": {}},
        {"acq__dOUT_T1w": {}, "acq__dIN_part__phase_T1w": {}},
        {"acq__dOUT_T1w": {}, "acq__dIN_echo__1_T1w": {}, "acq__dIN_echo__2_T1w": {}},
    ],
    ids=["of another kind", "a phase", "two of them"],
)
def test_what_does_not_go_with_it_is_left_out(build, nearest_odd, stems: dict) -> None:
    assert set(with_phases(build, nearest_odd, **stems).files) == {"opposed"}


def test_water_and_fat_come_first(build, nearest_odd) -> None:
    stems = {"acq__dOUT_T1w": {}, "acq__dIN_T1w": {}, "acq__dW_T1w": WATER, "acq__dF_T1w": FAT}
    assert set(with_phases(build, nearest_odd, **stems).files) == {"opposed", "water", "fat"}


def test_a_broken_image_in_phase_only_costs_the_fat_fraction(build, nearest_odd) -> None:
    broken = "sub-1_acq-dIN_T1w.nii.gz"
    station = with_phases(build, nearest_odd, broken=broken, acq__dOUT_T1w={}, acq__dIN_T1w={})
    assert set(station.files) == {"opposed"}
    assert "no fat fraction" in station.reason


@pytest.mark.parametrize("name", ["acq-out_T1w", "acq-dixon_T1w"])
def test_a_broken_sidecar_only_costs_its_own_station(build, nearest_odd, name: str) -> None:
    root = build({f"sub-1/anat/sub-1_{name}": {}, "sub-2/anat/sub-2_acq-out_T1w": {}})
    (root / f"sub-1/anat/sub-1_{name}.json").write_text("{")
    found = discover(index(root), nearest_odd)
    assert only(found).subject == "2"
    assert "is not JSON" in found.skipped[0].reason


def test_a_participant_without_images_is_reported(build, nearest_odd) -> None:
    root = build(anat(acq__out_T1w={}))
    (root / "sub-2").mkdir()
    found = discover(index(root), nearest_odd)
    assert [(skip.subject, skip.files) for skip in found.skipped] == [("2", ())]


def test_the_words_for_a_skipped_session(build, nearest_odd) -> None:
    root = build({"sub-1/ses-a/anat/sub-1_ses-a_T1w": {}})
    assert str(discover(index(root), nearest_odd).skipped[0]).startswith("sub-1 ses-a: skipped")


def test_stations_travel_between_processes_and_through_json(find) -> None:
    station = only(find(anat(acq__outphase_T1w={"BodyPart": "LEG"})))
    assert pickle.loads(pickle.dumps(station)) == station
    assert Station.from_dict(json.loads(json.dumps(station.as_dict()))) == station


def test_a_name_that_is_no_text_is_reported(build, nearest_odd) -> None:
    root = build(anat(acq__out_T1w={}))
    odd = os.fsencode(root / "sub-1/anat") + b"/sub-1_acq-\xffout_T1w.nii.gz"
    Path(os.fsdecode(odd)).write_bytes(b"")
    found = discover(index(root), nearest_odd)
    assert only(found).source.name == "sub-1_acq-out_T1w.nii.gz"
    assert "not named in UTF-8" in found.skipped[0].reason
    assert found.skipped[0].subject == "1"


def test_what_is_no_file_is_not_waited_for(build, nearest_odd) -> None:
    root = build(anat(acq__out_T1w={}, acq__d_echo__1_MEGRE={}))
    for path in (root / "sub-1/anat").iterdir():
        path.unlink()
        os.mkfifo(path)
    found = discover(index(root), nearest_odd)
    assert not found.stations
    reasons = "\n".join(skip.reason for skip in found.skipped)
    assert "is not a file" in reasons


def test_an_image_that_is_no_file(build, nearest_odd) -> None:
    root = build(anat(acq__out_T1w={}))
    image = root / "sub-1/anat/sub-1_acq-out_T1w.nii.gz"
    image.unlink()
    os.mkfifo(image)
    assert "is no file" in discover(index(root), nearest_odd).skipped[0].reason


def test_filters_that_only_discovery_was_given(build, nearest_odd) -> None:
    filters = Filters({"all": {"acq": ("out",)}})
    found = discover(index(build(anat(acq__out_T1w={}, T1w={}))), nearest_odd, filters)
    assert only(found).entities["acq"] == "out"
    assert found.skipped == ()
