"""Looking at results, correcting them, taking them away."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from desks import InHand
from reported import affine_of, grey_image, label_image, write_sidecar
from skeleton import tree

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.report.tables import shown_columns


def opened(content: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def edited(**changes: int) -> bytes:
    """The labels with all of one structure called another."""
    labels = label_image()
    labels[labels == 61] = 62
    return gzip.compress(nib.Nifti1Image(labels, affine_of()).to_bytes())


@pytest.fixture
def one(hand: InHand):
    """A project with one finished station, its study, and the address of the result."""
    project, study, results = hand.with_results(chunks=(1,))
    (result,) = results
    return project, study, f"/api/projects/{project}/results/{result['id']}"


def test_the_list(hand: InHand) -> None:
    _, _, results = hand.with_results()
    assert [(one["merged"], one["replaced"]) for one in results] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert len({one["id"] for one in results}) == 3
    for told in results:
        assert told["participant"] == "01"
        assert told["session"] is None
        assert told["image"].startswith("sub-01/anat/sub-01_acq-opp")
        assert (told["corrected"], told["revision"], told["draft"]) == (False, 0, False)
    assert results[0]["title"].startswith("Whole leg")


def test_labels_are_the_file_itself(hand: InHand, one) -> None:
    _, study, address = one
    (path,) = study.output_dir.glob("sub-01/anat/*_seg-muscles_dseg.nii.gz")
    for query in ("", "?original=1"):
        assert hand.client.get(f"{address}/labels.nii.gz{query}").content == path.read_bytes()


def test_the_image_lies_on_the_grid_of_the_labels(hand: InHand, one) -> None:
    project, study, address = one
    # Turned as scanners do it: the first axis runs from head to foot, the second to the right.
    for path in [*study.output_dir.rglob("*.nii.gz"), *study.bids_dir.rglob("*.nii.gz")]:
        image = nib.load(path)
        turned = nib.orientations.apply_orientation(
            np.asarray(image.dataobj), [[1, -1], [2, 1], [0, -1]]
        )
        back = nib.orientations.inv_ornt_aff([[1, -1], [2, 1], [0, -1]], image.shape)
        nib.save(nib.Nifti1Image(turned, image.affine @ back), path)
    source = next(study.bids_dir.rglob("*.nii.gz"))
    data = np.asarray(nib.load(source).dataobj, np.float32)
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    nib.save(nib.Nifti1Image(data, nib.load(source).affine), source)
    update_sum(study, source)
    answer = hand.client.get(f"{address}/image.nii.gz")
    assert "x-problem" not in answer.headers
    image, labels = (
        opened(answer.content),
        opened(hand.client.get(f"{address}/labels.nii.gz").content),
    )
    assert image.shape == labels.shape == (9, 60, 36)
    np.testing.assert_array_equal(image.affine, labels.affine)
    assert image.get_data_dtype() == np.uint8
    grey, values = np.asarray(image.dataobj), np.asarray(labels.dataobj)
    assert grey[values > 0].min() > grey[values == 0].max() > 0
    # The second time it is there already, and still when the source has gone.
    source.unlink()
    again = hand.client.get(f"{address}/image.nii.gz")
    assert again.content == answer.content
    assert tree(hand.folder(project) / "tmp") == []


def update_sum(study, source: Path) -> None:
    import hashlib

    (sidecar,) = study.output_dir.rglob("*_dseg.json")
    told = json.loads(sidecar.read_text())
    told["Legseg"]["SourceSHA256"] = {"opposed": hashlib.sha256(source.read_bytes()).hexdigest()}
    sidecar.write_text(json.dumps(told))


def test_one_volume_of_a_file_with_several(hand: InHand, one) -> None:
    _, study, address = one
    source = next(study.bids_dir.rglob("*.nii.gz"))
    data = np.stack([np.zeros_like(grey_image()), grey_image()], -1)
    nib.save(nib.Nifti1Image(data, affine_of()), source)
    update_sum(study, source)
    (sidecar,) = study.output_dir.rglob("*_dseg.json")
    told = json.loads(sidecar.read_text())
    told["Legseg"]["SourceSHA256"]["opposed"] += "[1]"
    sidecar.write_text(json.dumps(told))
    grey = np.asarray(opened(hand.client.get(f"{address}/image.nii.gz").content).dataobj)
    assert grey[label_image() > 0].min() > 100


def test_an_image_that_has_gone_is_black_and_says_why(hand: InHand, one) -> None:
    _, study, address = one
    next(study.bids_dir.rglob("*.nii.gz")).unlink()
    for _ in range(2):
        answer = hand.client.get(f"{address}/image.nii.gz")
        assert answer.status_code == 200
        assert "is%20gone" in answer.headers["x-problem"]
        assert not np.asarray(opened(answer.content).dataobj).any()


def test_labels_that_cannot_be_read(hand: InHand, one) -> None:
    _, study, address = one
    next(study.output_dir.glob("sub-01/anat/*_dseg.nii.gz")).write_bytes(b"damaged")
    answer = hand.client.get(f"{address}/image.nii.gz")
    assert (answer.status_code, "cannot be read" in answer.json()["error"]) == (422, True)
    assert "Traceback" not in answer.text


def test_measures(hand: InHand, one) -> None:
    _, _, address = one
    told = hand.client.get(f"{address}/measures").json()
    assert {column["key"] for column in told["columns"]} == {"volume", "truncated"}
    assert all(column["title"] and "unit" in column for column in told["columns"])
    rows = {row["abbreviation"]: row for row in told["rows"]}
    assert rows["RF_L"]["index"] == 61
    assert rows["RF_L"]["volume"] == pytest.approx((label_image() == 61).sum() * 0.032, rel=1e-4)
    assert (rows["RF_L"]["name"], rows["RF_L"]["side"]) == ("Rectus femoris left", "left")


def test_values_have_the_unit_of_their_column(hand: InHand, one) -> None:
    _, study, address = one
    (table,) = study.output_dir.glob("sub-01/anat/*muscles_dseg.tsv")
    lines = table.read_text().splitlines()
    cells = ["mean_fat_fraction", "0.125", "n/a", "nan", "x", "0"]
    table.write_text("".join(f"{a}\t{b}\n" for a, b in zip(lines, cells, strict=True)))
    told = hand.client.get(f"{address}/measures").json()
    (column,) = (one for one in told["columns"] if one["key"] == "mean_fat_fraction")
    (shown,) = (c for c in shown_columns() if (c.table, c.key) == ("muscles", column["key"]))
    assert (column["unit"], shown.factor) == ("%", 100)
    assert [row["mean_fat_fraction"] for row in told["rows"]] == [12.5, None, None, None, 0]


def test_a_damaged_table_is_told(hand: InHand, one) -> None:
    _, study, address = one
    next(study.output_dir.glob("sub-01/anat/*muscles_dseg.tsv")).write_text("a\tb\n1\n")
    answer = hand.client.get(f"{address}/measures")
    assert (answer.status_code, "cannot be used" in answer.json()["error"]) == (422, True)
    project = address.split("/")[3]
    assert hand.client.get(f"/api/projects/{project}/results").status_code == 200


def test_structures_are_the_scheme(hand: InHand) -> None:
    told = hand.client.get("/api/session").json()["structures"]
    assert [(one["index"], one["color"]) for one in told] == [
        (label.index, label.color) for label in load_labels()
    ]


def test_picture_and_report(hand: InHand, one) -> None:
    _, study, address = one
    for part in ("overlay.png", "report"):
        assert hand.client.get(f"{address}/{part}").status_code == 404
    figure = study.output_dir / "sub-01/figures/sub-01_acq-opp_chunk-1_seg-muscles_dseg.png"
    figure.parent.mkdir()
    figure.write_bytes(b"\x89PNG")
    (study.output_dir / "sub-01.html").write_text("<script>alert(1)</script>")
    assert hand.client.get(f"{address}/overlay.png").headers["content-type"] == "image/png"
    report = hand.client.get(f"{address}/report")
    policy = report.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert report.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert "connect-src data: blob:;" in policy


def test_links_among_results_are_not_followed(hand: InHand, one, tmp_path: Path) -> None:
    project, study, address = one
    (tmp_path / "secret").write_text("secret")
    (study.output_dir / "sub-01.html").symlink_to(tmp_path / "secret")
    (study.output_dir / "sub-01/anat/link.tsv").symlink_to(tmp_path / "secret")
    (study.output_dir / "folder").symlink_to(tmp_path)
    assert hand.client.get(f"{address}/report").status_code == 404
    answer = hand.client.get(f"/api/projects/{project}/export", params={"what": "everything"})
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert not [name for name in names if "secret" in name or "link" in name or "html" in name]


@pytest.mark.parametrize("rid", ["0" * 16, "..", "%2e%2e", "x"])
def test_results_that_are_not_there(hand: InHand, one, rid: str) -> None:
    project = one[0]
    answer = hand.client.get(f"/api/projects/{project}/results/{rid}/labels.nii.gz")
    assert answer.status_code == 404


# ------------------------------------------------------------------------------- drafts


def test_two_tabs(hand: InHand, one) -> None:
    _, _, address = one
    empty = hand.client.get(f"{address}/draft")
    assert (empty.status_code, empty.headers["x-revision"]) == (204, "0")
    assert hand.change("PUT", f"{address}/draft", content=edited()).status_code == 428
    first = hand.change("PUT", f"{address}/draft", {"if-match": "0"}, content=edited())
    assert (first.status_code, first.json()) == (200, {"revision": 1})
    second = hand.change("PUT", f"{address}/draft", {"if-match": '"0"'}, content=edited())
    assert (second.status_code, second.json()["revision"]) == (409, 1)
    assert "another tab" in second.json()["error"]
    draft = hand.client.get(f"{address}/draft")
    assert draft.headers["x-revision"] == "1"
    assert (np.asarray(opened(draft.content).dataobj) == 61).sum() == 0
    assert hand.change("DELETE", f"{address}/draft", {"if-match": "0"}).status_code == 409
    gone = hand.change("DELETE", f"{address}/draft", {"if-match": "1"})
    assert gone.json() == {"revision": 2}
    assert hand.client.get(f"{address}/draft").headers["x-revision"] == "2"


@pytest.mark.parametrize("revision", ["", "x", "-1", "1.0", "9" * 20, "٣"])
def test_revisions_that_are_none(hand: InHand, one, revision: str) -> None:
    headers = {b"if-match": revision.encode()}
    answer = hand.client.put(
        f"{one[2]}/draft", headers={**{k.encode(): v.encode() for k, v in hand.headers.items()},
                                    **headers}, content=edited(),
    )  # fmt: skip
    assert answer.status_code == 428


def test_what_is_no_label_image_is_no_draft(hand: InHand, one) -> None:
    project, _, address = one
    answer = hand.change("PUT", f"{address}/draft", {"if-match": "0"}, content=b"x" * 100)
    assert answer.status_code == 422
    assert tree(hand.folder(project) / "drafts") == tree(hand.folder(project) / "uploading") == []


def test_drafts_outlive_the_server(hand: InHand, one) -> None:
    from desks import desk_in_hand

    project, _, address = one
    hand.change("PUT", f"{address}/draft", {"if-match": "0"}, content=edited())
    with desk_in_hand(hand.desk.workspace.root) as again:
        (told,) = again.client.get(f"/api/projects/{project}/results").json()
        assert (told["revision"], told["draft"]) == (1, True)


def test_no_correction_without_a_draft(hand: InHand, one) -> None:
    answer = hand.change("POST", f"{one[2]}/correction", json={"author": "A", "note": ""})
    assert (answer.status_code, "no draft" in answer.json()["error"]) == (404, True)


@pytest.mark.parametrize("body", [{"author": 3}, {"note": "x" * 2001}, {"author": ["a"]}])
def test_corrections_that_are_none(hand: InHand, one, body: dict) -> None:
    hand.change("PUT", f"{one[2]}/draft", {"if-match": "0"}, content=edited())
    assert hand.change("POST", f"{one[2]}/correction", json=body).status_code == 400


def test_a_correction_of_what_another_tab_has_changed(hand: InHand, one) -> None:
    hand.change("PUT", f"{one[2]}/draft", {"if-match": "0"}, content=edited())
    answer = hand.change("POST", f"{one[2]}/correction", {"if-match": "0"}, json={})
    assert (answer.status_code, answer.json()["revision"]) == (409, 1)


def test_a_correction_that_fails_keeps_the_draft(hand: InHand, one) -> None:
    _, _, address = one
    hand.change("PUT", f"{address}/draft", {"if-match": "0"}, content=edited())
    # The handmade derivative is none for `correct`: it has no description.
    answer = hand.change("POST", f"{address}/correction", json={"author": "--undo"})
    assert answer.status_code == 422
    assert "Traceback" not in answer.text
    draft = hand.client.get(f"{address}/draft")
    assert (draft.status_code, draft.headers["x-revision"]) == (200, "1")


# ------------------------------------------------------------------------------- export


@pytest.mark.parametrize(
    ("what", "endings"),
    [("tables", {"tsv", "json"}), ("labels", {"gz", "json", "tsv"}), ("everything", None)],
)
def test_exports(hand: InHand, what: str, endings: set[str] | None) -> None:
    project, study, _ = hand.with_results()
    (study.output_dir / "sub-01/anat/.x.tsv.0123456789ab.tmp").touch()
    answer = hand.client.get(f"/api/projects/{project}/export", params={"what": what})
    assert answer.headers["content-disposition"] == f'attachment; filename="finished-{what}.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    found = {name.removeprefix(f"finished-{what}/") for name in archive.namelist()}
    if endings is None:
        assert found == {name for name in tree(study.output_dir) if not name.endswith(".tmp")}
    else:
        assert {name.rpartition(".")[2] for name in found} == endings
    for name in found:
        content = archive.read(f"finished-{what}/{name}")
        assert content == (study.output_dir / name).read_bytes()


@pytest.mark.parametrize(("what", "status"), [("", 400), ("../", 400), ("pictures", 404)])
def test_exports_of_nothing(hand: InHand, one, what: str, status: int) -> None:
    answer = hand.client.get(f"/api/projects/{one[0]}/export", params={"what": what})
    assert answer.status_code == status


def test_sources_outside_of_the_dataset_are_not_read(hand: InHand, one, tmp_path: Path) -> None:
    """A sidecar is data: it may name anything."""
    _, study, address = one
    secret = tmp_path / "secret.nii.gz"
    nib.save(nib.Nifti1Image(grey_image(), affine_of()), secret)
    update_sum(study, secret)
    (sidecar,) = study.output_dir.rglob("*_dseg.json")
    stem = sidecar.relative_to(study.output_dir).as_posix().removesuffix("_dseg.json")
    write_sidecar(
        study.output_dir, stem, ["bids:raw:../../../../secret.nii.gz", f"bids:raw:{secret}"]
    )
    answer = hand.client.get(f"{address}/image.nii.gz")
    assert "x-problem" in answer.headers
    assert not np.asarray(opened(answer.content).dataobj).any()
