"""Run the application in this process, and tell how it ended."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from legseg_bids.cli.main import Stop, main


@dataclass(frozen=True)
class Ended:
    """Exit code, lines of the standard output, text of the standard error."""

    code: int
    lines: list[str]
    progress: str

    def line(self, image: str) -> str:
        """The result line of an image."""
        return next(line for line in self.lines[:-1] if image in line)


Legseg = Callable[..., Ended]


def run_legseg(*words: object, stop: Stop | None = None) -> Ended:
    """Run ``legseg`` with these words; ``stop`` tells it to end."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words], stop)
    return Ended(code, out.getvalue().splitlines(), err.getvalue())
