"""The mapping file, the labels of people, and the names of files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.queries import load_queries, part_of, role_of
from legseg_bids.bids.spellings import read_spelling
from legseg_bids.dicom.dataset import _age
from legseg_bids.dicom.found import Facts, Found, Grid, Survey
from legseg_bids.dicom.mapping import Row, draft, joined, read_mapping, undecided, write_mapping
from legseg_bids.dicom.people import Asked, Known, next_label
from legseg_bids.dicom.plan import plan, target_name
from legseg_bids.dicom.roles import ASK, ECHOES, LEAVE_OUT, load_roles
from legseg_bids.errors import UsageError


def image(
    name: str, shows: str = "opposed", z: float = 0.0, slices: int = 10, **facts: object
) -> Found:
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[2, 3] = z
    grid = Grid((40, 40, slices), tuple(map(tuple, affine.tolist())))
    told = {
        "shows": shows,
        "patient": "p",
        "study": "s",
        "when": "1",
        "sequence": ("GR",),
        "field_strength": 3.0,
        **facts,
    }
    return Found(name, Facts(**told), grid, ())  # type: ignore[arg-type]


def of(*images: Found) -> Survey:
    return Survey(Path("source"), "dicom", images)


@pytest.mark.parametrize(
    ("found", "role", "asked"),
    [
        (image("a", "water"), "water", ""),
        (image("a", "unclear", because="this and that"), ASK, "which is right?"),
        (image("a", "localizer"), LEAVE_OUT, "a localizer"),
        (image("a", "other"), LEAVE_OUT, "a map"),
        (image("a", "water", slices=2), LEAVE_OUT, "too few slices (2;"),
        (image("a", "water", part="phase"), LEAVE_OUT, "the phase of a reconstructed image"),
        (image("a", "fat", sequence=("SE",)), ASK, "of a spin echo"),
        (image("a", "", sequence=("SE",)), LEAVE_OUT, "a spin echo without"),
        (image("a", "", sequence=("RM",)), LEAVE_OUT, "neither"),
        (image("a", "dixon", sequence=("RM",)), ASK, "do not say"),
        (image("a", "", echo_time=0.00115), ASK, "TE 1.15 ms at 3 T is opposed phase"),
        (image("a", "", echo_time=0.0023), LEAVE_OUT, "one gradient echo, TE 2.30 ms"),
        (image("a", "dixon", echo_time=0.0023), ASK, "do not say"),
        (image("a", ""), ASK, "do not say"),
        (image("a", "", part="phase", echo_time=0.001), LEAVE_OUT, "phase without several"),
        (replace(image("a"), grid=None, problem="no volume"), LEAVE_OUT, "no volume"),
    ],
)
def test_what_is_proposed_and_what_is_asked(found: Found, role: str, asked: str) -> None:
    (row,) = draft(of(found))
    assert row.role == role
    assert asked in row.question
    assert row.decided == (role != ASK)


def test_two_echo_times_of_a_series_are_echoes() -> None:
    rows = draft(of(*(image(f"e{n}", "", echo_time=n / 1000, series="x") for n in (1, 2))))
    assert {row.role for row in rows} == {"echo"}


def test_stitched_images_are_left_out_where_stations_are_there() -> None:
    whole = image("whole", "water", slices=40, stitched=True)
    assert draft(of(whole))[0].role == "water"
    rows = draft(of(whole, image("a", "water")))
    assert [row.role for row in rows] == [LEAVE_OUT, "water"]


def test_people_are_numbered_and_keep_their_numbers() -> None:
    first = draft(of(image("a", patient="x"), image("b", patient="y")))
    assert [row.participant for row in first] == ["01", "02"]
    again = draft(
        of(image("c", patient="w"), image("b", patient="y"), image("d", patient="y", z=99)), first
    )
    assert [row.participant for row in again] == ["03", "02", "02"]
    taken = draft(of(image("c", patient="w")), (), None, Known(frozenset({"007"})))
    assert taken[0].participant == "008"


def test_examinations_of_one_person() -> None:
    visits = [image("a", study="2020"), image("b", study="2021"), image("c", study="2020", z=99)]
    assert [row.session for row in draft(of(*visits))] == ["01", "02", "01"]
    first = draft(of(visits[0]))
    assert first[0].session == ""
    assert [r.session for r in draft(of(*visits[:2]), first)] == ["", "02"]


def test_doubt_about_people_is_asked() -> None:
    nobody = draft(of(image("a", patient="", study="1"), image("b", patient="", study="2")))
    assert [row.participant for row in nobody] == [ASK, ASK]
    assert "no PatientID" in nobody[0].question
    shared = draft(of(image("a", person="1960|F"), image("b", "water", person="1970|M")))
    assert shared[0].participant == ASK
    assert "2 birth dates" in shared[0].question
    partly = draft(of(image("a", person="1960|F"), image("b", "water", person="|F")))
    assert [row.participant for row in partly] == ["01", "01"]
    named = draft(of(image("a", patient="", study="1")), (), Asked("pilot", "pre"))
    assert (named[0].participant, named[0].session) == ("pilot", "pre")
    with pytest.raises(UsageError, match="holds 2 people"):
        draft(of(image("a", patient="x"), image("b", patient="y")), (), Asked("pilot"))


cells = st.text(max_size=12)
rows = st.builds(
    Row,
    id=st.from_regex(r"s\d{3}-[0-9a-f]{4}", fullmatch=True),
    participant=st.sampled_from(["01", "pilot", ASK]),
    session=st.sampled_from(["", "a", ASK]),
    role=st.sampled_from([*load_roles(), ASK]),
    station=st.sampled_from(["1", "12", ASK]),
    question=cells,
    description=cells,
    vendor=st.sampled_from(["ge", ""]),
    images=st.integers(0, 999),
)


@given(st.lists(rows, max_size=5, unique_by=lambda row: row.id))
def test_files_say_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, table: list[Row]
) -> None:
    path = tmp_path_factory.mktemp("map") / "m.tsv"
    write_mapping(path, table)
    found = read_mapping(path)
    assert [row.decided for row in found] == [row.decided for row in table]
    for before, after in zip(table, found, strict=True):
        same = ("id", "participant", "session", "role", "station", "vendor", "images")
        assert [getattr(before, key) for key in same] == [getattr(after, key) for key in same]


def write(
    path: Path, *lines: str, header: str = "id\tparticipant\tsession\trole\tstation"
) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return path


def test_what_spreadsheets_do_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    lines = [
        '"id"\trole\tparticipant\tnew',
        "s1\tIn phase\tsub-01\tx",
        "s2\t-\t\t",
        "s3\t\tsub-02\t",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    first, second, third = read_mapping(path)
    assert (first.role, first.participant, first.session) == ("in_phase", "01", "")
    assert second.role == LEAVE_OUT
    assert second.decided
    assert (third.role, third.station) == (ASK, ASK)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "s1\tsub-01\t\tsomething\t1",
            "line 2: the role of s1 is 'something'; expected one of opposed",
        ),
        ("s1\tsub-0 1\t\twater\t1", "the participant of s1 is '0 1'"),
        ("s1\tsub-01\tses-é\twater\t1", "the session of s1"),
        ("s1\tsub-01\t\twater\t0", "the station of s1 is '0'"),
        ("s1\tsub-01\t\twater\tupper", "the station of s1 is 'upper'"),
        ("\tsub-01\t\twater\t1", "line 2 has no id"),
        ("s1\tsub-01\t\twater\t1\ns1\tsub-01\t\tfat\t1", "has s1 twice"),
    ],
)
def test_bad_mapping_files(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match="expected") as error:
        read_mapping(write(tmp_path / "m.tsv", *line.split("\n")))
    assert said in str(error.value)


def test_no_mapping_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_mapping(tmp_path / "m.tsv")
    with pytest.raises(UsageError, match="has no column role"):
        read_mapping(write(tmp_path / "m.tsv", header="id\tx"))


@pytest.mark.parametrize("role", [role for role in load_roles() if role != LEAVE_OUT])
@pytest.mark.parametrize("acquisition", [1, 2])
def test_discovery_reads_every_name_as_what_it_is(role: str, acquisition: int) -> None:
    table = load_queries()
    name = target_name(
        "01", "a", role, station=2, run=1, acquisition=acquisition, echo=3, part=True
    )
    spelling = read_spelling(PurePath(name), table)
    assert spelling is not None
    found = role_of(spelling.get("acq") or "", (), table, exact=spelling.contrast)
    parts = {ours: part for part, ours in ECHOES.items()}
    assert found.role == (None if role in parts else role)
    assert part_of(spelling.part, (), table) == parts.get(role, "magnitude")
    assert found.rest == ("" if acquisition == 1 else "dixon2")


def test_answers_change_names_and_nothing_is_lost() -> None:
    images = [image("a"), image("b", z=100), image("c", "water")]
    rows = draft(of(*images))
    names = {item.image.id: item.target for item in plan(of(*images), rows)}
    assert names == {
        "a": "sub-01/anat/sub-01_acq-outphase_chunk-2_T1w.nii.gz",
        "b": "sub-01/anat/sub-01_acq-outphase_chunk-1_T1w.nii.gz",
        "c": "sub-01/anat/sub-01_acq-water_chunk-2_T1w.nii.gz",
    }
    told = [
        replace(row, role=LEAVE_OUT if row.id == "b" else row.role, station="1") for row in rows
    ]
    assert [item.target for item in plan(of(*images), told)] == [
        "sub-01/anat/sub-01_acq-outphase_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-water_T1w.nii.gz",
    ]


several = st.tuples(st.sampled_from(["opposed", "water"]), st.integers(0, 2), st.integers(1, 2))


@given(st.lists(several, max_size=8))
def test_no_two_images_share_a_name(shots: list[tuple[str, int, int]]) -> None:
    images = [
        image(f"i{n}", shows, z=100.0 * z, patient=f"p{p}")
        for n, (shows, z, p) in enumerate(shots)
    ]
    planned = plan(of(*images), draft(of(*images)))
    assert len({item.target for item in planned}) == len(images)


def test_rows_are_joined_and_counted() -> None:
    a, b = Row("a", "01"), Row("b", "01", role="water")
    assert joined([a], [replace(a, role="fat"), b]) == (a, b)
    assert undecided([a, b]) == (a,)
    assert next_label(["3"]) == "04"


@pytest.mark.parametrize(
    ("told", "age"), [("034Y", "34"), ("018M", "1"), ("095Y", "89"), ("", "n/a"), ("old", "n/a")]
)
def test_ages(told: str, age: str) -> None:
    assert _age(Facts(age=told)) == age
