"""The folder of the desk: a folder for each project, and one server at a time.

::

    legseg-desk/
      open-legseg-desk.html      leads a browser to the running server
      <project>/
        project.json             what the project is (`legseg_bids.desk.project`)
        incoming/                what was uploaded
        bids/                    what was made of it
        derivatives/legseg/      results
        drafts/                  corrections that are not finished
        cache/, tmp/, uploading/ may be removed at any time while nobody is at work
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from legseg_bids.bids.write import cannot_write, remove_leftovers, write_json
from legseg_bids.desk.names import folder_name
from legseg_bids.desk.project import Project
from legseg_bids.desk.refusals import NotThere
from legseg_bids.errors import LegsegError, UsageError

DOOR = "open-legseg-desk.html"
LOCK = ".lock"
TRASH = ".removed-"
PASSING = ("tmp", "uploading")
"""Folders of a project whose content is worth nothing once the server has ended."""
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
PRIVATE = 0o700


class Workspace:
    """Projects on the disk.

    Parameters
    ----------
    root : Path
        The folder; made if need be, for its owner alone.

    Raises
    ------
    LegsegError
        If it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - links stay as they are
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            self._check()
            self.root.chmod(PRIVATE)
            (self.root / LOCK).touch(mode=0o600)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        self.problems: list[str] = []

    # ------------------------------------------------------------------ one server

    def claim(self) -> int | None:
        """Take the workspace for this process, until it ends; None if another one has it.

        Raises
        ------
        OutputError
            If the file system knows no locks.
        """
        try:
            lock = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                os.close(lock)
                raise
        except BlockingIOError:
            return None
        except OSError as error:
            raise cannot_write(self.root / LOCK, error) from error
        return lock

    @property
    def door(self) -> Path:
        """The page that leads a browser to the running server."""
        return self.root / DOOR

    # ------------------------------------------------------------------- projects

    def folder(self, identifier: str) -> Path:
        """Folder of a project.

        Raises
        ------
        NotThere
            If there is none.
        """
        if not IDENTIFIER.fullmatch(identifier):
            raise _unknown()
        folder = self.root / identifier
        if folder.is_symlink() or not (folder / "project.json").is_file():
            raise _unknown()
        return folder

    def create(self, name: str, path: str | None) -> Project:
        """Make a project.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        identifier = f"{folder_name(name)}-{secrets.token_hex(4)}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        project = Project(identifier, name, now, path)
        folder = self.root / identifier
        try:
            folder.mkdir(mode=PRIVATE)
            for inside in ("incoming", "drafts", "cache", *PASSING):
                (folder / inside).mkdir(mode=PRIVATE)
        except OSError as error:
            raise cannot_write(folder, error) from error
        self.save(project)
        return project

    def save(self, project: Project) -> None:
        """Write ``project.json`` in one piece.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        self.write(project.id, project.as_dict())

    def write(self, identifier: str, values: dict[str, object]) -> None:
        """Write these values; see `save`."""
        write_json(self.root / identifier / "project.json", values)

    def load(self) -> list[Project]:
        """All projects, oldest first; what a killed server left behind is removed.

        One that cannot be read is left alone and named in `problems`.
        """
        found = []
        for folder in sorted(self.root.iterdir()):
            if folder.name.startswith(TRASH):
                shutil.rmtree(folder, ignore_errors=True)
            elif (folder / "project.json").is_file() and not folder.is_symlink():
                try:
                    found.append(self._read(folder))
                except (OSError, ValueError, TypeError, LegsegError) as error:
                    self.problems.append(f"{folder}/project.json cannot be read ({error})")
        return sorted(found, key=lambda project: (project.created, project.id))

    def remove(self, identifier: str) -> None:
        """Remove a project and all that is in its folder.

        Raises
        ------
        NotThere
            If there is none.
        OutputError
            If it cannot be removed.
        """
        folder = self.folder(identifier)
        trash = self.root / f"{TRASH}{identifier}-{secrets.token_hex(4)}"
        try:
            folder.rename(trash)
        except OSError as error:
            raise cannot_write(folder, error) from error
        shutil.rmtree(trash, ignore_errors=True)

    def _check(self) -> None:
        """Make sure that the folder is ours, and for nothing else.

        Raises
        ------
        UsageError
            If it is not.
        """
        if self.root.stat().st_uid != os.geteuid():
            raise UsageError(
                f"workspace {self.root} belongs to somebody else; expected a folder of your own; "
                "choose another one with --workspace"
            )
        if not (self.root / LOCK).is_file() and any(self.root.iterdir()):
            raise UsageError(
                f"workspace {self.root} holds other files; expected a new folder, an empty one, "
                "or that of an earlier legseg-desk; choose another one with --workspace"
            )

    def _read(self, folder: Path) -> Project:
        values = json.loads((folder / "project.json").read_text(encoding="utf-8"))
        project = Project.from_dict(values)
        if project.id != folder.name or not IDENTIFIER.fullmatch(project.id):
            raise ValueError(f"it is of project {project.id!r}")
        remove_leftovers(folder, deep=False)
        remove_leftovers(folder / "drafts", deep=False)
        for name in PASSING:
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(mode=PRIVATE, exist_ok=True)
        return project


def _unknown() -> NotThere:
    return NotThere(
        "there is no such project in the workspace; expected one of the list; load the page again"
    )
