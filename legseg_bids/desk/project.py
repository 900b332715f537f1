"""A project: images of some people, what was found in them, and the job that works on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

STATES = ("empty", "surveying", "questions", "ready", "running", "done", "failed")
AT_WORK = frozenset({"surveying", "running"})
INTERRUPTED = "interrupted; finished images are kept, run again to go on"
VERSION = 1


@dataclass
class Project:
    """What stands in ``project.json``.

    Attributes
    ----------
    id : str
        Name of its folder.
    name, created : str
        For a person; when it was made (ISO 8601, UTC).
    path : str or None
        A folder on this machine, which is only read; None if files are uploaded.
    state : str
        One of ``STATES``.
    kind : str
        ``dicom``, ``nifti`` or ``bids``; empty as long as nobody has looked.
    bids : str or None
        The dataset that is segmented: the folder itself, or what was made of it.
    found : dict or None
        Participants, stations and problems.
    questions : list of dict
        What must be answered before images can be converted.
    notes : list of str
        What was left out of the uploads, and why.
    files, bytes : int
        How much was uploaded.
    job : dict or None
        The last job, as the page shows it.
    """

    id: str
    name: str
    created: str
    path: str | None = None
    state: str = "empty"
    kind: str = ""
    bids: str | None = None
    found: dict[str, Any] | None = None
    questions: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    job: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Project:
        """Undo `as_dict`; a job that nobody works on any more was interrupted.

        Raises
        ------
        TypeError, ValueError
            If it is no project.

        Examples
        --------
        >>> told = Project("a", "A", "2026-01-01", state="running", job={"state": "running"})
        >>> now = Project.from_dict(told.as_dict())
        >>> now.state, now.job["state"], now.job["line"]
        ('failed', 'failed', 'interrupted; finished images are kept, run again to go on')
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"it holds a {type(values).__name__}, no object")
        known = {one.name for one in fields(cls)}
        project = cls(**{key: value for key, value in values.items() if key in known})
        if not isinstance(project.id, str) or project.state not in STATES:
            raise ValueError(f"state is {project.state!r}; expected one of {', '.join(STATES)}")
        if project.state in AT_WORK:
            project.state = "failed"
            project.job = {**(project.job or {}), **interrupted()}
        return project


def interrupted() -> dict[str, Any]:
    """What becomes of a job when its server ends."""
    told = {"state": "failed", "interrupted": True, "line": INTERRUPTED}
    return {**told, "seconds_left": None, "queued": False}
