"""A job at work on a project: what it runs, what it hears, how it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legseg_bids.desk.children import Child, ask_worker
from legseg_bids.desk.progress import Job
from legseg_bids.desk.project import Project
from legseg_bids.desk.refusals import Refused

if TYPE_CHECKING:
    from legseg_bids.desk.core import Desk

RUN = "run"


class Stopped(Exception):
    """The job was cancelled, or the desk ends."""


class Shift:
    """One job at work on one project.

    Attributes
    ----------
    desk : Desk
        Whose job it is.
    project : Project
        What it changes.
    job : Job
        How far it is.
    cancelled : bool
        Whether somebody told it to stop.
    """

    def __init__(self, desk: Desk, project: Project, job: Job) -> None:
        self.desk, self.project, self.job = desk, project, job
        self.cancelled = False
        self.task: asyncio.Task[None] | None = None
        self._child: Child | None = None

    @property
    def folder(self) -> Path:
        """The project's own."""
        return self.desk.workspace.root / self.project.id

    async def run(self, *words: str) -> int:
        """Run a module of ours as a process, and follow what it says; its exit code.

        Raises
        ------
        Stopped
            If it was told to stop.
        """
        if self.cancelled:
            raise Stopped
        self._child = Child(words, self.folder, self.folder / "tmp", self._hear, self._hear_result)
        code = await self._child.run()
        self.job.exit_code = code
        if self.cancelled:
            raise Stopped
        return code

    async def ask(self, *words: str) -> dict[str, Any]:
        """Let a worker do something; its answer.

        Raises
        ------
        Stopped
            If it was told to stop.
        Refused
            If it could not be done.
        """
        if self.cancelled:
            raise Stopped
        try:
            answer = await ask_worker(self.folder, self.folder / "tmp", *words, begun=self._take)
        except Refused:
            if self.cancelled:
                raise Stopped from None
            raise
        if self.cancelled:
            raise Stopped
        return answer

    def _take(self, child: Child) -> None:
        self._child = child

    @property
    def last_words(self) -> str:
        """Why the last process ended as it did, in its own words."""
        said = self._child.last if self._child else []
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        if self.job.reason or last:
            return self.job.reason or last.removeprefix("legseg-bidsify: ")
        return f"it ended with exit code {self.job.exit_code} and said nothing"

    async def stop(self) -> None:
        """End it, whatever it is at."""
        self.cancelled = True
        self.job.line = "stopping"
        self.desk.changed(self.project)
        if self._child is not None:
            await self._child.stop()
        elif self.job.queued and self.task is not None:
            self.task.cancel()

    def _hear(self, line: str) -> None:
        self.job.read(line)
        self.desk.changed(self.project)

    def _hear_result(self, line: str) -> None:
        if self.job.kind == RUN:
            before = len(self.job.outcomes)
            self.job.read_result(line)
            if len(self.job.outcomes) > before:
                # The first result can be looked at while the others are made.
                self.desk.in_background(self.desk.count(self.project))
        else:
            self.job.read(line)
        self.desk.changed(self.project)


Work = Callable[[Shift], Awaitable[None]]
