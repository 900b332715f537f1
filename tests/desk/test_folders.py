"""Folders of this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from desks import InHand
from skeleton import outphase_dataset

from legseg_bids.desk.folders import kind_of, listing, source_of
from legseg_bids.desk.limits import load_limits

LIMITS = load_limits()
DICOM = bytes(128) + b"DICM" + bytes(20)


def make(root: Path, *names: str, content: bytes = b"secret content") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("names", "content", "kind"),
    [
        ((), b"", "folder"),
        (("a.txt", "b.py"), b"x", "folder"),
        (("IM1",), DICOM, "dicom"),
        (("1.2.840.1",), DICOM, "dicom"),
        (("IM1",), b"not", "folder"),
        (("a.DCM",), b"", "dicom"),
        (("a.txt",), DICOM, "folder"),
        (("a.nii.gz", "a.json"), b"", "nifti"),
        (("dataset_description.json", "a.nii"), b"{}", "bids"),
    ],
)
def test_kinds(tmp_path: Path, names: tuple[str, ...], content: bytes, kind: str) -> None:
    make(tmp_path, *names, content=content)
    assert kind_of(tmp_path, LIMITS) == (kind, len(names))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "IM1")
    assert kind_of(tmp_path, LIMITS) == ("folder", 0)
    assert source_of(tmp_path, LIMITS) == ("", tmp_path)


def test_listing_tells_folders_and_no_content(tmp_path: Path) -> None:
    make(tmp_path, "b/IM1", content=DICOM)
    make(tmp_path, "A/x.txt", "file.txt", ".hidden/x")
    told = listing(str(tmp_path), LIMITS)
    assert (told["path"], told["parent"]) == (str(tmp_path), str(tmp_path.parent))
    assert [(one["name"], one["kind"], one["files"]) for one in told["entries"]] == [
        ("A", "folder", 1),
        ("b", "dicom", 1),
    ]
    assert "secret" not in str(told)
    assert len(listing(str(tmp_path), replace(LIMITS, browse_entries=1))["entries"]) == 1


def test_a_folder_that_may_not_be_read_is_listed_as_a_folder(tmp_path: Path) -> None:
    make(tmp_path, "closed/IM1", content=DICOM)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "closed").chmod(0)
    try:
        (entry,) = listing(str(tmp_path), LIMITS)["entries"]
    finally:
        (tmp_path / "closed").chmod(0o700)
    if os.geteuid():
        assert (entry["kind"], entry["files"]) == ("folder", 0)


def test_the_home_folder_comes_first(hand: InHand, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hand.client.get("/api/folders").json()["path"] == str(tmp_path)
    assert listing("/", LIMITS)["parent"] is None


@pytest.mark.parametrize(
    ("path", "status"),
    [("relative", 400), ("../x", 400), ("~", 400), ("/proc", 400), ("/proc/self/fd", 400),
     ("/dev", 400), ("/etc/../proc", 400), ("/a\0b", 400), ("/\ufffd", 400), ("/nowhere", 404),
     ("/etc/passwd", 404), ("/" + "x" * 300, 404)],
)  # fmt: skip
def test_what_is_no_folder_is_refused(hand: InHand, path: str, status: int) -> None:
    answer = hand.client.get("/api/folders", params={"path": path})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert (
        hand.change("POST", "/api/projects", json={"name": "a", "path": path}).status_code
        == status
    )


def test_a_link_into_the_system_is_refused(hand: InHand, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    answer = hand.client.get("/api/folders", params={"path": str(tmp_path / "link")})
    assert answer.status_code == 400


def test_the_workspace_is_no_source(hand: InHand) -> None:
    root = hand.desk.workspace.root
    for path in (root, root.parent, hand.folder(hand.project())):
        answer = hand.change("POST", "/api/projects", json={"name": "a", "path": str(path)})
        assert (answer.status_code, "workspace" in answer.json()["error"]) == (400, True)


def test_sources(tmp_path: Path) -> None:
    assert source_of(make(tmp_path / "none", "a.txt"), LIMITS)[0] == ""
    assert source_of(make(tmp_path / "nifti", "x/y/a.nii"), LIMITS)[0] == "nifti"
    both = make(make(tmp_path / "both", "a.nii"), "z/IM1", content=DICOM)
    assert source_of(both, LIMITS) == ("dicom", both)
    dataset = outphase_dataset(tmp_path / "packed" / "study.zip" / "study")
    assert source_of(tmp_path / "packed", LIMITS) == ("bids", dataset)
