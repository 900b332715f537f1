"""The desk itself: projects, what is at work on them, and who is waiting for news.

All of it belongs to the event loop: nothing here is called from another thread. What takes long
(disks, processes) is done elsewhere, and waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from anyio import to_thread

from legseg_bids.bids.finished import subjects_begun
from legseg_bids.bids.journal import is_unsettled
from legseg_bids.desk.access import Access
from legseg_bids.desk.children import Child
from legseg_bids.desk.limits import Limits
from legseg_bids.desk.progress import Job
from legseg_bids.desk.project import INTERRUPTED, Project, interrupted
from legseg_bids.desk.refusals import Conflict, NotThere
from legseg_bids.desk.shifts import RUN, Shift, Stopped, Work
from legseg_bids.desk.uploads import Turnstile
from legseg_bids.desk.workspace import Workspace
from legseg_bids.errors import LegsegError

LOG = logging.getLogger("legseg_bids.desk")
WAITING = "waiting until another project is through"
CANCELLED = "cancelled; finished images are kept, run again to go on"
LAST_WAIT = 20.0
"""Seconds that jobs have to end when the desk ends; then the system ends them."""


class Desk:
    """Everything that one start of the desk knows.

    Parameters
    ----------
    workspace : Workspace
        Claimed by this process.
    access : Access
        Secrets of this start.
    limits : Limits
        How much is taken in.
    models : Path or None
        Folder of the networks; None takes those shipped.
    """

    def __init__(
        self, workspace: Workspace, access: Access, limits: Limits, models: Path | None = None
    ) -> None:
        self.workspace, self.access, self.limits, self.models = workspace, access, limits, models
        self.projects: dict[str, Project] = {}
        self.shifts: dict[str, Shift] = {}
        self.closing = asyncio.Event()
        self.heavy, self.light = asyncio.Semaphore(1), asyncio.Semaphore(2)
        self.views = asyncio.Semaphore(2)
        self.uploading = Turnstile(
            limits.upload_at_once,
            f"more than {limits.upload_at_once} uploads at the same time; expected fewer; wait "
            "for some to end",
        )
        self.listening = Turnstile(
            limits.request_events,
            f"more than {limits.request_events} tabs follow a project; expected fewer; close some",
        )
        self._versions: dict[str, int] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._counts: dict[str, int] = {}
        self._background: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------ begin and end

    async def begin(self) -> None:
        """Read the projects; finish corrections that a killed desk had decided."""
        found = await to_thread.run_sync(self.workspace.load)
        self.projects = {project.id: project for project in found}
        for problem in self.workspace.problems:
            LOG.warning("%s", problem)
        for project in found:
            await self.count(project)
            if project.job and project.job.get("interrupted"):
                await self.save(project)
            if await to_thread.run_sync(_unsettled, self.output(project)):
                self.in_background(self._settle(project))

    async def end(self) -> None:
        """Tell all jobs to stop; what is finished is kept."""
        self.closing.set()
        for event in self._news.values():
            event.set()
        shifts = list(self.shifts.values())
        tasks = [shift.task for shift in shifts if shift.task]
        stopping = [asyncio.ensure_future(shift.stop()) for shift in shifts]
        if tasks:
            await asyncio.wait([*tasks, *stopping], timeout=LAST_WAIT)
        for task in [*stopping, *tasks, *self._background]:
            task.cancel()
        await asyncio.gather(*stopping, *tasks, *self._background, return_exceptions=True)

    def in_background(self, work: Awaitable[Any]) -> None:
        """Do something that nobody waits for; a failure goes to the log."""

        async def guarded() -> None:
            try:
                await work
            except (LegsegError, OSError) as error:
                LOG.warning("%s", error)

        task = asyncio.ensure_future(guarded())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ----------------------------------------------------------------- projects

    def project(self, identifier: str) -> Project:
        """A project.

        Raises
        ------
        NotThere
            If there is none.
        """
        try:
            return self.projects[identifier]
        except KeyError:
            raise NotThere(
                "there is no such project in the workspace; expected one of the list; load the "
                "page again"
            ) from None

    def folder(self, project: Project, name: str = "") -> Path:
        """The folder of a project, or one in it."""
        return self.workspace.root / project.id / name

    def output(self, project: Project) -> Path:
        """Where results go."""
        return self.folder(project, "derivatives") / "legseg"

    def bids(self, project: Project) -> Path:
        """The dataset that is segmented; where there will be one, if there is none yet."""
        return Path(project.bids) if project.bids else self.folder(project, "bids")

    async def create(self, name: str, path: str | None) -> Project:
        """Make a project.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        project = await to_thread.run_sync(self.workspace.create, name, path)
        self.projects[project.id] = project
        return project

    async def remove(self, project: Project) -> None:
        """Remove a project on which nobody is at work.

        Raises
        ------
        Conflict
            If somebody is.
        """
        async with self.lock(project):
            self.require_idle(project)
            await to_thread.run_sync(self.workspace.remove, project.id)
            del self.projects[project.id]
            self.changed(project)

    async def save(self, project: Project) -> None:
        """Write a project to the disk, as it is now.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self.projects.get(project.id) is project:
            async with self.lock(project, "file"):
                await to_thread.run_sync(self.workspace.write, project.id, project.as_dict())

    def lock(self, project: Project, what: str = "") -> asyncio.Lock:
        """Held by whoever changes something (`what`) of a project."""
        return self._locks.setdefault(f"{project.id}/{what}", asyncio.Lock())

    def require_idle(self, project: Project) -> None:
        """Make sure that no job is at work on a project.

        Raises
        ------
        Conflict
            If one is.
        """
        if project.id in self.shifts:
            kind = self.shifts[project.id].job.kind
            raise Conflict(
                f"a {kind} is at work on the project; expected it to have ended; wait for it, or "
                "cancel it"
            )

    async def count(self, project: Project) -> None:
        """Count the finished images of a project anew."""
        before = self._counts.get(project.id, 0)
        self._counts[project.id] = await to_thread.run_sync(_count, self.output(project))
        if self._counts[project.id] != before:
            self.changed(project)

    def described(self, project: Project) -> dict[str, Any]:
        """What the page gets to know of a project."""
        shift = self.shifts.get(project.id)
        found = project.found or {"participants": 0, "stations": [], "problems": []}
        return {
            "id": project.id,
            "name": project.name,
            "created": project.created,
            "path": project.path,
            "state": project.state,
            "found": {
                "kind": project.kind or None,
                **found,
                "problems": [*found["problems"], *project.notes],
            },
            "questions": project.questions,
            "files": project.files,
            "bytes": project.bytes,
            "bids": project.bids,
            "output": str(self.output(project)),
            "results": self._counts.get(project.id, 0),
            "job": shift.job.as_dict() if shift else project.job,
        }

    # --------------------------------------------------------------------- news

    def changed(self, project: Project) -> None:
        """Tell all who wait for news of a project."""
        self._versions[project.id] = self.version(project) + 1
        event = self._news.pop(project.id, None)
        if event:
            event.set()

    def version(self, project: Project) -> int:
        """A number that rises with each change."""
        return self._versions.get(project.id, 0)

    async def news(self, project: Project, version: int, patience: float) -> None:
        """Wait until a project is newer than a version, but not for ever."""
        if self.version(project) == version and not self.closing.is_set():
            event = self._news.setdefault(project.id, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), patience)

    # --------------------------------------------------------------------- jobs

    def start(self, project: Project, kind: str, state: str, work: Work) -> Shift:
        """Begin a job.

        Parameters
        ----------
        project : Project
            On which nobody is at work.
        kind : str
            ``survey``, ``convert`` or ``run``.
        state : str
            Of the project while it is at work.
        work : callable
            What is to be done; sets the state of the project at the end.

        Raises
        ------
        Conflict
            If somebody is at work on the project.
        """
        self.require_idle(project)
        job = Job(secrets.token_hex(8), kind, line="starting")
        shift = Shift(self, project, job)
        self.shifts[project.id] = shift
        before, project.state, project.job = project.state, state, job.as_dict()
        shift.task = asyncio.ensure_future(self._work(shift, work, before))
        self.changed(project)
        return shift

    async def cancel(self, project: Project) -> None:
        """Stop the job of a project, and wait until it has.

        Raises
        ------
        Conflict
            If there is none.
        """
        shift = self.shifts.get(project.id)
        if shift is None or shift.task is None:
            raise Conflict(
                "nothing is at work on the project; expected a job; load the page again"
            )
        await shift.stop()
        await asyncio.wait([shift.task])

    async def _work(self, shift: Shift, work: Work, before: str) -> None:
        """Do the work when it is its turn, and note what became of it."""
        project, job = shift.project, shift.job
        try:
            await self.save(project)
            queue = self.heavy if job.kind == RUN else self.light
            if queue.locked():
                job.queued, job.line = True, WAITING
                self.changed(project)
            async with queue:
                job.queued, job.line = False, "starting"
                self.changed(project)
                if shift.cancelled:
                    raise Stopped
                await work(shift)
        except (Stopped, asyncio.CancelledError):
            self._stopped(shift, before)
        except LegsegError as error:
            project.state = "failed"
            job.end("failed", str(error))
        except Exception as error:  # the others go on, and the log says where
            LOG.exception("%s of %s", job.kind, project.id)
            project.state = "failed"
            job.end("failed", f"an unforeseen error ({error}); the terminal says more; try again")
        finally:
            await self._ended(shift)

    def _stopped(self, shift: Shift, before: str) -> None:
        project, job = shift.project, shift.job
        if self.closing.is_set():
            project.state = "failed"
            job.end("failed", INTERRUPTED)
            return
        project.state = before if before in ("questions", "empty") else _idle(project)
        job.end("cancelled", CANCELLED)

    async def _ended(self, shift: Shift) -> None:
        project = shift.project
        project.job = shift.job.as_dict()
        if self.closing.is_set() and shift.job.state == "failed":
            project.job |= interrupted()
        self.shifts.pop(project.id, None)
        try:
            await self.count(project)
            await self.save(project)
        except (LegsegError, OSError) as error:
            LOG.warning("%s", error)
        self.changed(project)

    async def _settle(self, project: Project) -> None:
        """Finish corrections that were decided; the command line does the same."""
        folder = self.folder(project)
        words = ["legseg_bids.cli.correct", str(self.output(project)), "--refresh"]
        async with self.light:
            await Child(words, folder, folder / "tmp").run()
        self.changed(project)


def _idle(project: Project) -> str:
    """State of a project on which nothing is at work, by what is known of it."""
    if project.found and project.found["stations"]:
        return "ready"
    return "questions" if project.questions else "empty"


def _count(output: Path) -> int:
    """Finished images, as far as their names tell."""
    names: Sequence[str] = ("*_seg-muscles_dseg.json", "*_seg-muscles_desc-merged_dseg.json")
    return sum(1 for name in names for _ in output.glob(f"sub-*/**/{name}"))


def _unsettled(output: Path) -> bool:
    return any(is_unsettled(output, subject) for subject in subjects_begun(output))
