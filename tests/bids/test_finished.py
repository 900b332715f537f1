"""Which images of a derivative are finished, and what their tables hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from legseg_bids.bids.finished import (
    DamagedTable,
    Disk,
    find_images,
    finished_images,
    read_table,
    rows,
    subjects_begun,
)
from legseg_bids.bids.names import output_paths

TABLE = "index\tname\tabbreviation\tvolume\n61\tRectus femoris left\tRF_L\t250.5\n"


def write(root: Path, stem: str, legseg: object = None, table: str = TABLE) -> Path:
    """Table and sidecar of one image; its label image."""
    path = root / f"{stem}_dseg.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table)
    told = {"ConfigHash": "ab"} if legseg is None else legseg
    path.with_suffix(".json").write_text(json.dumps({"Legseg": told}))
    return path.with_suffix(".nii.gz")


def station(root: Path, stem: str) -> Path:
    labels = write(root, stem)
    labels.write_bytes(b"labels of " + stem.encode())
    Path(f"{root / stem}_desc-confidence_probseg.nii.gz").write_bytes(b"confidence")
    return labels


def sums(labels: Path) -> dict[str, str]:
    stem = str(labels).removesuffix("_dseg.nii.gz")
    files = {
        "Labels": f"{stem}_dseg.nii.gz",
        "Confidence": f"{stem}_desc-confidence_probseg.nii.gz",
        "Table": f"{stem}_dseg.tsv",
    }
    return {k: hashlib.sha256(Path(v).read_bytes()).hexdigest() for k, v in files.items()}


@pytest.fixture
def leg(tmp_path: Path) -> list[Path]:
    """Two stations of a leg, and their merged image."""
    stem = "sub-1/anat/sub-1_acq-opp_chunk-{}_seg-muscles"
    labels = [station(tmp_path, stem.format(chunk)) for chunk in (1, 2)]
    told = {path.relative_to(tmp_path).as_posix(): sums(path) for path in labels}
    merged = "sub-1/anat/sub-1_acq-opp_seg-muscles_desc-merged"
    return [*labels, write(tmp_path, merged, {"ConfigHash": "ab", "StationSHA256": told})]


def test_an_image_knows_its_files_and_its_source(tmp_path: Path) -> None:
    source = "sub-01/ses-a/anat/sub-01_ses-a_acq-opp_chunk-2_T1w.nii.gz"
    told = {"ConfigHash": "ab", "SourceSHA256": {source: "00"}}
    write(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_acq-opp_chunk-2_seg-muscles", told)
    (image,) = finished_images(tmp_path)
    assert (image.subject, image.session, image.source) == ("01", "a", source)
    assert image.paths == output_paths(tmp_path, source)
    assert image.stem == "sub-01_ses-a_acq-opp_chunk-2_seg-muscles"
    assert (image.merged, image.replaced, image.members) == (False, False, ())
    assert rows(image)[0]["abbreviation"] == "RF_L"


def test_a_merged_image_stands_for_its_stations(tmp_path: Path, leg: list[Path]) -> None:
    images = finished_images(tmp_path)
    assert [image.paths.labels for image in images] == sorted(leg)
    assert [(image.merged, image.replaced) for image in images] == [
        (False, True), (False, True), (True, False),
    ]  # fmt: skip
    assert images[2].members == tuple(leg[:2])
    assert images[2].source is None


def test_a_merged_image_of_changed_stations_is_outdated(tmp_path: Path, leg: list[Path]) -> None:
    leg[0].write_bytes(b"other")
    found = find_images(tmp_path)
    assert found.outdated == (leg[2].with_name(leg[2].name.replace(".nii.gz", ".tsv")),)
    assert [image.replaced for image in found.images] == [False, False]


def test_files_are_read_as_told(tmp_path: Path, leg: list[Path]) -> None:
    asked: list[Path] = []

    def digest(path: Path) -> str:
        asked.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert len(find_images(tmp_path, disk=Disk(digest=digest)).images) == 3
    assert set(leg[:2]) <= set(asked)


@pytest.mark.parametrize(
    "legseg",
    [{}, [], 3, {"ConfigHash": 1}, {"ConfigHash": "ab", "StationSHA256": []},
     {"ConfigHash": "ab", "StationSHA256": {"../../x": {}}}],
)  # fmt: skip
def test_what_is_not_ours_is_unfinished(tmp_path: Path, legseg: object) -> None:
    labels = write(tmp_path, "sub-1/anat/sub-1_seg-muscles", legseg)
    write(tmp_path, "sub-2/anat/sub-2_seg-muscles")
    found = find_images(tmp_path)
    assert [image.subject for image in found.images] == ["2"]
    assert found.unfinished == (labels.with_name("sub-1_seg-muscles_dseg.tsv"),)


def test_other_files_and_folders_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, "sub-1/anat/sub-1_seg-muscles")
    write(tmp_path, "sub-1/anat/sub-1_seg-muscles_desc-compartments")
    write(tmp_path, "sourcedata/anat/sub-9_seg-muscles")
    (tmp_path / "sub-2").write_text("no folder")
    (tmp_path / "sub-1" / "anat" / "sub-1_seg-muscles_dseg.nii.gz").mkdir()
    assert [image.stem for image in finished_images(tmp_path)] == ["sub-1_seg-muscles"]


def test_one_participant(tmp_path: Path) -> None:
    for subject in ("1", "2"):
        write(tmp_path, f"sub-{subject}/anat/sub-{subject}_seg-muscles")
    assert [image.subject for image in finished_images(tmp_path, "2")] == ["2"]
    assert finished_images(tmp_path, "3") == ()


def test_who_was_begun(tmp_path: Path) -> None:
    write(tmp_path, "sub-1/anat/sub-1_seg-muscles")
    (tmp_path / "logs" / "sub-2").mkdir(parents=True)
    (tmp_path / "logs" / "sub-3").touch()
    assert subjects_begun(tmp_path) == ["1", "2"]
    assert subjects_begun(tmp_path / "gone") == []


@pytest.mark.parametrize(
    "text", ["a\tb\n1\t2\n", TABLE + "1\t2\n", TABLE + "\tmore\tthan\tit\tshould\n"]
)
def test_a_damaged_table_says_so(tmp_path: Path, text: str) -> None:
    write(tmp_path, "sub-1/anat/sub-1_seg-muscles", table=text)
    with pytest.raises(DamagedTable, match=r"sub-1_seg-muscles_dseg\.tsv cannot be used"):
        rows(finished_images(tmp_path)[0])


def test_a_table_that_is_no_text_or_gone(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    with pytest.raises(DamagedTable, match=r"x\.tsv cannot be used"):
        read_table(path)
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(DamagedTable, match=r"x\.tsv cannot be used"):
        read_table(path)


def test_only_line_feeds_end_a_row(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes('\ufeffa\tb\r\n1\u20282\t"3\x0b\r\n\n'.encode())
    assert read_table(path) == [{"a": "1\u20282", "b": '"3\x0b'}]
    path.write_text("")
    assert read_table(path) == []
