"""Projects on the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from desks import InHand, desk_in_hand
from skeleton import tree

from legseg_bids.desk.project import INTERRUPTED, STATES, Project
from legseg_bids.desk.refusals import NotThere
from legseg_bids.desk.workspace import Workspace
from legseg_bids.errors import LegsegError


def test_everything_is_for_its_owner_alone(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)  # noqa: PTH101
    (tmp_path / "desk").mkdir(mode=0o777)
    workspace = Workspace(tmp_path / "desk")
    project = workspace.create("A study", None)
    folders = [workspace.root, *(p for p in workspace.root.rglob("*") if p.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    lock = workspace.claim()
    assert lock is not None
    assert (workspace.root / ".lock").stat().st_mode & 0o777 == 0o600
    assert project.id.startswith("a-study-")


def test_one_server_at_a_time(tmp_path: Path) -> None:
    first = Workspace(tmp_path).claim()
    assert first is not None
    assert Workspace(tmp_path).claim() is None
    os.close(first)
    second = Workspace(tmp_path).claim()
    assert second is not None
    os.close(second)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of others")
def test_the_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(LegsegError, match="belongs to somebody else"):
        Workspace(tmp_path / "theirs")


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(LegsegError, match="holds other files"):
        Workspace(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert tree(tmp_path) == ["thesis.odt"]


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LegsegError, match="cannot be written"):
        Workspace(tmp_path / "file")


@pytest.mark.parametrize("state", STATES)
def test_projects_come_back(tmp_path: Path, state: str) -> None:
    workspace = Workspace(tmp_path)
    project = workspace.create("Täst", "/somewhere")
    project.state = state
    project.job = {"id": "1", "kind": "run", "state": "running", "done": 2, "line": "at it"}
    workspace.save(project)
    (found,) = Workspace(tmp_path).load()
    at_work = state in ("running", "surveying")
    assert found.state == ("failed" if at_work else state)
    assert found.job["line"] == (INTERRUPTED if at_work else "at it")
    assert found.job["done"] == 2
    assert (found.name, found.path, found.id) == ("Täst", "/somewhere", project.id)


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    project = workspace.create("a", None)
    folder = tmp_path / project.id
    for name in ("uploading/x.part", "tmp/y/z", ".project.json.0123456789ab.tmp",
                 "drafts/.a.nii.gz.0123456789ab.tmp"):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (tmp_path / ".removed-b-1").mkdir()
    (tmp_path / ".removed-b-1/file").touch()
    (folder / "incoming/kept").touch()
    workspace.load()
    assert tree(tmp_path) == [
        ".lock", f"{project.id}/incoming/kept", f"{project.id}/project.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"id": "other", "name": "", "created": ""}', "\0", '{"id": 3}']
)
def test_one_bad_project_does_not_stop_the_others(tmp_path: Path, text: str) -> None:
    workspace = Workspace(tmp_path)
    good, bad = workspace.create("good", None), workspace.create("bad", None)
    (tmp_path / bad.id / "project.json").write_text(text)
    (tmp_path / "stray").mkdir()
    assert [project.id for project in workspace.load()] == [good.id]
    assert len(workspace.problems) == 1
    assert bad.id in workspace.problems[0]
    assert (tmp_path / bad.id / "project.json").read_text() == text


def test_removing_takes_the_project_and_nothing_it_links_to(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "desk")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a").touch()
    project = workspace.create("a", str(tmp_path / "scans"))
    (workspace.root / project.id / "incoming/link").symlink_to(tmp_path / "scans")
    workspace.remove(project.id)
    assert tree(tmp_path) == ["desk/.lock", "scans/a"]
    with pytest.raises(NotThere):
        workspace.remove(project.id)


@pytest.mark.parametrize(
    "identifier", ["", ".", "..", "../a", "/a", "A", "a/b", "-a", "a\0", "link"]
)
def test_identifiers_that_are_none(tmp_path: Path, identifier: str) -> None:
    workspace = Workspace(tmp_path / "desk")
    real = workspace.create("a", None)
    (workspace.root / "link").symlink_to(workspace.root / real.id)
    with pytest.raises(NotThere):
        workspace.folder(identifier)


def test_projects_of_an_earlier_start(tmp_path: Path) -> None:
    with desk_in_hand(tmp_path / "desk") as hand:
        first, second = hand.project("One"), hand.project("Two")
    with desk_in_hand(tmp_path / "desk") as hand:
        assert {one["id"] for one in hand.client.get("/api/projects").json()} == {first, second}
        assert hand.change("DELETE", f"/api/projects/{first}").status_code == 204
        assert hand.client.get(f"/api/projects/{first}").status_code == 404
        assert not hand.folder(first).exists()
        told = hand.client.get(f"/api/projects/{second}").json()
        assert (told["state"], told["name"], told["results"]) == ("empty", "Two", 0)


def test_what_a_project_file_holds(hand: InHand) -> None:
    project = hand.project("A\u202eb\n c ")
    values = json.loads((hand.folder(project) / "project.json").read_text())
    assert values["name"] == "A b c"
    assert Project.from_dict(values).as_dict() == values
