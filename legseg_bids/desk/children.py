"""Processes that do the work: started, listened to, and told to stop, never waited for blindly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import legseg_bids
from legseg_bids.desk.refusals import Refused, Unfit

Listener = Callable[[str], None]
TETHER = "legseg_bids.desk.tether"
WORKER = "legseg_bids.desk.worker"
PATIENCE = (20.0, 10.0)
"""Seconds after SIGINT, and after SIGTERM, until the next stronger signal."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
LONGEST_LINE = 1 << 24
LAST_LINES = 20


@dataclass
class Child:
    """A command in a session of its own, with a private folder for temporary files.

    Attributes
    ----------
    words : sequence of str
        A module of ours, and its arguments.
    folder : Path
        Where it works; nothing is imported from there.
    temporary : Path
        Its folder for temporary files.
    progress, results : callable
        Take the lines of its standard error and of its standard output.
    last : list of str
        The last lines that it has said on its standard error.
    """

    words: Sequence[str]
    folder: Path
    temporary: Path
    progress: Listener = lambda _: None
    results: Listener = lambda _: None
    last: list[str] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None
    _stopping: bool = False

    async def run(self) -> int:
        """Run it to its end; its exit code, negative for the signal that has killed it."""
        pipe = asyncio.subprocess.PIPE
        tether = [sys.executable, "-P", "-m", TETHER, str(os.getpid())]
        self._process = process = await asyncio.create_subprocess_exec(
            *tether,
            *(sys.executable, "-P", "-m", *self.words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            cwd=self.folder,
            env=environment(self.temporary),
            start_new_session=True,
            umask=0o077,
        )
        if self._stopping:  # told so while it was being made
            _signal(process, signal.SIGTERM)
        try:
            await asyncio.gather(
                _listen(process.stdout, self.results), _listen(process.stderr, self._hear)
            )
            return await process.wait()
        finally:
            if process.returncode is None:
                # Cancelled from outside: nobody listens any more.
                _signal(process, signal.SIGKILL)
                await process.wait()

    async def stop(self) -> None:
        """Tell it to stop, more and more firmly, and wait until it has."""
        process, again = self._process, self._stopping
        self._stopping = True
        if process is None or again:
            return
        for number, patience in zip(SIGNALS, (*PATIENCE, 10.0), strict=True):
            if process.returncode is not None:
                break
            _signal(process, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), patience)

    def _hear(self, line: str) -> None:
        self.last = [*self.last[-LAST_LINES + 1 :], line]
        self.progress(line)


def environment(temporary: Path) -> dict[str, str]:
    """What a child gets of our environment, and where it may leave temporary files.

    It finds our package, wherever this process has it from, and looks for no module in the
    folder where it works, which may hold anything.
    """
    home = str(Path(legseg_bids.__file__).resolve().parents[1])
    before = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    paths = [home, *(os.path.abspath(part) for part in before)]  # noqa: PTH100 - as it stands
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "TERM": "dumb",
        "TMPDIR": str(temporary),
    }


async def ask_worker(
    folder: Path, temporary: Path, *words: str, begun: Callable[[Child], None] = lambda _: None
) -> dict[str, Any]:
    """Let `legseg_bids.desk.worker` do something, and read its answer.

    Parameters
    ----------
    folder, temporary : Path
        As for :class:`Child`.
    words : str
        What is to be done.
    begun : callable
        Takes the process, for whoever may want to stop it.

    Raises
    ------
    Refused
        If it could not be done; with the worker's own words.
    """
    heard: list[str] = []
    child = Child([WORKER, *words], folder, temporary, results=heard.append)
    begun(child)
    code = await child.run()
    try:
        answer = json.loads(heard[-1])
    except (IndexError, ValueError):
        answer = {}
    if code == 0 and isinstance(answer, dict):
        return answer
    told = answer.get("error") if isinstance(answer, dict) else None
    raise Unfit(str(told)) if told else _ended(code, child.last)


def _ended(code: int, last: Sequence[str]) -> Refused:
    how = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
    said = f" ({last[-1].strip()})" if last else ""
    return Refused(
        f"the process that was to do this {how}{said}; expected it to end well; try again, and "
        "look whether memory or disk are full"
    )


async def _listen(stream: asyncio.StreamReader | None, hear: Listener) -> None:
    """Hand on each line; of one that never ends, the beginning."""
    assert stream is not None
    rest = b""
    while piece := await stream.read(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[:LONGEST_LINE]
        for line in lines:
            hear(line.decode("utf-8", errors="replace"))
    if rest:
        hear(rest.decode("utf-8", errors="replace"))


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To all of its session, as a terminal does it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
