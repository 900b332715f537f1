"""Several files changed as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from legseg_bids.bids.journal import FOLDER, JOURNAL, changing, is_unsettled, settle
from legseg_bids.bids.places import sweep
from legseg_bids.errors import OutputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sub-1" / "anat").mkdir(parents=True)
    for name in ("a.tsv", "b.tsv", "b.json"):
        (tmp_path / "sub-1" / "anat" / name).write_text("old")
    return tmp_path


def files(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (root / "sub-1").rglob("*") if path.is_file()}


def decide(root: Path) -> None:
    """A change that was decided by a process that then died."""
    folder = root / "logs" / "sub-1" / FOLDER
    moved = ["sub-1/anat/b.tsv", "sub-1/ses-2/anat/c.tsv", "sub-1/anat/b.json"]
    for number, name in enumerate(moved):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / Path(name).name).write_text("new")
    written = {"moved": moved, "removed": ["sub-1/anat/a.tsv"]}
    (folder / JOURNAL).write_text(json.dumps(written))


NEW = {"b.tsv": "new", "c.tsv": "new", "b.json": "new"}
OLD = {"a.tsv": "old", "b.tsv": "old", "b.json": "old"}


def test_a_change_puts_and_drops(root: Path) -> None:
    with changing(root, "1") as change:
        for name in ("sub-1/anat/b.tsv", "sub-1/ses-2/anat/c.tsv", "sub-1/anat/b.json"):
            path = change.put(root / name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("new")
        change.drop([root / "sub-1/anat/a.tsv", root / "sub-1/anat/never.tsv"])
        assert files(root) == OLD
    assert files(root) == NEW
    assert not (root / "logs" / "sub-1" / FOLDER).exists()


def test_a_change_that_fails_has_not_happened(root: Path) -> None:
    def begin() -> None:
        with changing(root, "1") as change:
            path = change.put(root / "sub-1/anat/b.tsv")
            path.parent.mkdir(parents=True)
            path.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        begin()
    assert files(root) == OLD
    assert not (root / "logs" / "sub-1" / FOLDER).exists()


@pytest.mark.parametrize("through", ["settle", "sweep", "changing"])
def test_what_was_decided_is_carried_out_by_whoever_comes_next(root: Path, through: str) -> None:
    decide(root)
    assert is_unsettled(root, "1")
    if through == "settle":
        assert settle(root, "1")
    elif through == "sweep":
        sweep(root, ["1"])
    else:
        with changing(root, "1"):
            assert files(root) == NEW
    assert files(root) == NEW
    assert not is_unsettled(root, "1")
    assert not settle(root, "1")


@pytest.mark.parametrize("done", [1, 2, 3])
def test_half_a_change_is_finished(root: Path, done: int) -> None:
    decide(root)
    folder = root / "logs" / "sub-1" / FOLDER
    names = ["sub-1/anat/b.tsv", "sub-1/ses-2/anat/c.tsv", "sub-1/anat/b.json"]
    for number, name in enumerate(names[:done]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / str(number) / Path(name).name).replace(root / name)
    settle(root, "1")
    assert files(root) == NEW


def test_what_was_only_begun_is_cleared_away(root: Path) -> None:
    decide(root)
    (root / "logs" / "sub-1" / FOLDER / JOURNAL).unlink()
    assert not settle(root, "1")
    assert files(root) == OLD


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "sub-2/anat/x.tsv", "sub-1/../../x", 3])
@pytest.mark.parametrize("kind", ["moved", "removed"])
def test_a_journal_reaches_no_other_file(root: Path, name: object, kind: str) -> None:
    decide(root)
    path = root / "logs" / "sub-1" / FOLDER / JOURNAL
    content = json.loads(path.read_text())
    content[kind][0] = name
    path.write_text(json.dumps(content))
    with pytest.raises(OutputError, match="not a file of this participant"):
        settle(root, "1")
    assert files(root) == OLD
