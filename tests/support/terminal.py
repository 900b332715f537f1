"""A program on a terminal of its own: what it writes becomes a screen that a test can read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

PATIENCE = 60.0
CTRL_C = b"\x03"


class Terminal:
    """A process whose controlling terminal this is.

    Attributes
    ----------
    process : subprocess.Popen
    received : bytearray
        Everything that was written to the terminal.
    """

    def __init__(
        self, words: Sequence[object], env: Mapping[str, str], size: tuple[int, int], cwd: Path
    ) -> None:
        self._master, slave = pty.openpty()
        self.screen = pyte.HistoryScreen(*size, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self.received = bytearray()
        self.resize(*size)
        self.process = subprocess.Popen(
            [str(word) for word in words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(slave)

    def resize(self, columns: int, lines: int) -> None:
        """As if somebody drew the window larger or smaller."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._master, keys)

    def look(self, seconds: float = 0.05) -> bool:
        """Take in what was written meanwhile; False once nobody can write any more."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return True
        try:
            chunk = os.read(self._master, 65536)
        except OSError:
            return False
        self.received += chunk
        self._stream.feed(chunk)
        return bool(chunk)

    def wait_for(self, pattern: str) -> None:
        """Until something of the screen or above it fits."""
        until = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text()):
            assert time.monotonic() < until, self.text()
            assert self.look(), self.text()

    def end(self) -> int:
        """Exit code, after taking in the rest."""
        until = time.monotonic() + PATIENCE
        while self.look() and time.monotonic() < until:
            pass
        return self.process.wait(PATIENCE)

    def shown(self) -> list[str]:
        """Lines of the screen, without empty ones."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def above(self) -> list[str]:
        """Lines that have scrolled out of the screen."""
        columns = self.screen.columns
        rows = ("".join(line[x].data for x in range(columns)) for line in self.screen.history.top)
        return [row.rstrip() for row in rows]

    def text(self) -> str:
        """All of it."""
        return "\n".join([*self.above(), *self.shown()])

    @property
    def cursor_is_shown(self) -> bool:
        """Whether the cursor can be seen."""
        return not self.screen.cursor.hidden

    def echoes(self) -> bool:
        """Whether what is typed can be seen, and lines are read as lines."""
        flags = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO) and bool(flags & termios.ICANON)

    def close(self) -> None:
        """End whatever still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)


@contextmanager
def on_terminal(
    words: Sequence[object], cwd: Path, size: tuple[int, int] = (100, 30), **changes: str | None
) -> Iterator[Terminal]:
    """Run a program on a terminal of so many columns and lines; `changes` of the environment."""
    plain = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "LANG"):
        plain.pop(name, None)
    env = {name: value for name, value in {**plain, **changes}.items() if value is not None}
    terminal = Terminal(words, env, size, cwd)
    try:
        yield terminal
    finally:
        terminal.close()


def _own_terminal() -> None:
    """In the child: its standard input becomes the terminal of its session."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
