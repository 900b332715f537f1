"""Files that a browser sends."""

from __future__ import annotations

import asyncio
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from desks import InHand, desk_in_hand
from hostile_names import HOSTILE
from skeleton import tree

from legseg_bids.desk.limits import load_limits
from legseg_bids.desk.uploads import receive
from legseg_bids.errors import LegsegError


@pytest.fixture
def project(hand: InHand) -> str:
    return hand.project()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def all_files(hand: InHand) -> list[str]:
    """Everything below the folder that holds the workspace, but for the projects' own files."""
    root = hand.desk.workspace.root.parent
    return [name for name in tree(root) if not name.endswith(("project.json", ".lock"))]


def test_a_file_arrives(hand: InHand, project: str) -> None:
    content = bytes(range(256)) * 10_000
    answer = hand.upload(project, "scans/IM 1.dcm", content)
    assert (answer.status_code, answer.json()) == (201, {"files": 1, "bytes": len(content)})
    path = hand.folder(project) / "incoming/scans/IM 1.dcm"
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    told = hand.client.get(f"/api/projects/{project}").json()
    assert (told["files"], told["bytes"], told["state"]) == (1, len(content), "empty")


@pytest.mark.parametrize("name", [text for text in HOSTILE if "\udcff" not in text])
def test_hostile_names_write_nothing(hand: InHand, project: str, name: str) -> None:
    assert hand.upload(project, name, b"x").status_code == 400
    if not name.startswith("/"):
        assert hand.upload(project, f"sub/{name}", b"x").status_code == 400
    hand.upload(project, f"{name}.zip", zipped(a=b"x"))
    assert [n for n in all_files(hand) if "/incoming/" not in n] == []


@pytest.mark.parametrize("query", ["path=%2e%2e%2fa", "path=..%5ca", "path=a%00", "path=%ff", ""])
def test_names_that_hide_in_the_address(hand: InHand, project: str, query: str) -> None:
    answer = hand.change("PUT", f"/api/projects/{project}/files?{query}", content=b"x")
    assert answer.status_code == 400
    assert all_files(hand) == []


def test_a_file_again_takes_the_place_of_the_first(hand: InHand, project: str) -> None:
    for content in (b"old", b"new!"):
        assert hand.upload(project, "a", content).status_code == 201
    assert (hand.folder(project) / "incoming/a").read_bytes() == b"new!"


def test_files_and_folders_in_each_others_way(hand: InHand, project: str) -> None:
    assert hand.upload(project, "a", b"file").status_code == 201
    assert hand.upload(project, "b/c", b"file").status_code == 201
    for name in ("a/b", "b", "b/c/d"):
        answer = hand.upload(project, name, b"x")
        assert (answer.status_code, "in its way" in answer.json()["error"]) == (409, True)
    assert hand.upload(project, "a/b.zip", zipped(a=b"x")).status_code == 409
    incoming = hand.folder(project) / "incoming"
    assert tree(incoming) == ["a", "b/c"]
    assert list((hand.folder(project) / "uploading").iterdir()) == []


def test_links_among_the_uploads_are_not_followed(hand: InHand, project: str) -> None:
    outside = hand.desk.workspace.root.parent / "outside"
    outside.mkdir()
    (outside / "a").write_text("old")
    incoming = hand.folder(project) / "incoming"
    (incoming / "folder").symlink_to(outside)
    (incoming / "file").symlink_to(outside / "a")
    (incoming / "x.zip").symlink_to(outside)
    assert hand.upload(project, "folder/a", b"new").status_code == 409
    assert hand.upload(project, "x.zip", zipped(a=b"new")).status_code == 422
    assert hand.upload(project, "file", b"new").status_code == 201  # the link itself goes
    assert (outside / "a").read_text() == "old"
    assert tree(outside) == ["a"]


def test_an_archive_becomes_a_folder(hand: InHand, project: str) -> None:
    content = zipped(**{"sub/a.dcm": b"1", "b.zip": b"2"})
    assert hand.upload(project, "in/scans.ZIP", content).json()["files"] == 1
    assert tree(hand.folder(project) / "incoming") == ["in/scans.ZIP/sub/a.dcm"]
    problems = hand.client.get(f"/api/projects/{project}").json()["found"]["problems"]
    assert problems == ["scans.ZIP: b.zip is an archive itself and was left out; unpack it first"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_is_too_large(tmp_path: Path, announced: bool) -> None:
    with desk_in_hand(tmp_path / "desk", upload_file=1000, upload_chunk=10) as hand:
        project = hand.project()
        content = b"x" * 1001 if announced else iter([b"x" * 600, b"x" * 600])
        assert hand.upload(project, "a", content).status_code == 413
        assert all_files(hand) == []
        assert hand.upload(project, "a", b"x" * 1000).status_code == 201


def test_a_project_that_is_full(tmp_path: Path) -> None:
    with desk_in_hand(tmp_path / "desk", upload_project=1000, upload_files=2) as hand:
        project = hand.project()
        assert hand.upload(project, "a", b"x" * 600).status_code == 201
        assert hand.upload(project, "b", b"x" * 600).status_code == 413
        assert hand.upload(project, "b.zip", zipped(a=b"x", b=b"y")).status_code == 413
        assert hand.upload(project, "c", b"x" * 400).status_code == 201
        assert hand.upload(project, "d", b"").status_code == 409
        assert tree(hand.folder(project) / "incoming") == ["a", "c"]


def test_a_disk_that_would_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk_in_hand(tmp_path / "desk") as hand:
        project = hand.project()
        hand.desk.limits = replace(hand.desk.limits, disk_reserve=2**62)
        answer = hand.upload(project, "a", b"x")
        assert (answer.status_code, "free space" in answer.json()["error"]) == (507, True)
        assert all_files(hand) == []


def test_a_disk_that_fills_up_on_the_way(
    hand: InHand, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("legseg_bids.desk.uploads.os.write", full)
    answer = hand.upload(project, "a", b"x")
    assert (answer.status_code, "No space left" in answer.json()["error"]) == (507, True)
    monkeypatch.undo()
    assert all_files(hand) == []


def test_projects_of_a_folder_take_no_uploads(hand: InHand, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    project = hand.project(path=tmp_path / "scans")
    hand.wait(project, "failed")
    assert hand.upload(project, "a", b"x").status_code == 409
    assert tree(tmp_path / "scans") == []


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ConnectionError, asyncio.CancelledError])
async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path, error: type) -> None:
    async def stream():
        yield b"x" * 5000
        raise error

    limits = replace(load_limits(), disk_reserve=0, upload_chunk=1000)
    with pytest.raises((error, LegsegError)):
        await receive(stream(), tmp_path, 10**6, limits, None)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
