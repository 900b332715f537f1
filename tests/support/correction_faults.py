"""Corrections that are killed at their n-th step of writing, each in a fork of this process.

    python correction_faults.py OUTPUT EDITED RESULT.json KIND

KIND is ``first``, ``again`` or ``undo``: what is killed. Before one step after the other (all of
them with ``LEGSEG_ALL_FAULTS``) the process dies; what the folder holds once the next command has
looked at it is compared with what it held before and after an undisturbed run. The result lists,
for each step, its name and ``old``, ``new`` or ``mixed``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from corrections import FIRST, contents
from faults import Steps

JOURNAL = "journal.json"
SOME = 4
"""How many of the steps after the decision are tried, unless all are."""


def act(kind: str, output: Path, edited: Path) -> None:
    """What is killed."""
    from legseg_bids.workflows.correcting import correct, undo

    if kind == "undo":
        undo(output, FIRST, reports=False)
    else:
        correct(output, edited, of=FIRST, reports=False)


def run(kind: str, output: Path, edited: Path, fatal: int, log: Path) -> tuple[int, list[str]]:
    """Act in a fork; how it ended (negative: by which signal), and its steps."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            steps = Steps(output, fatal, log)
            sys.addaudithook(steps)
            act(kind, output, edited)
            log.write_text(json.dumps(steps.names))
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), json.loads(log.read_text())


def chosen(names: list[str]) -> list[int]:
    """Numbers of the steps to be killed at, from 1 on: some of them, the decisive ones for sure.

    The change counts from the moment on when its journal is in its place.
    """
    if os.environ.get("LEGSEG_ALL_FAULTS"):
        return list(range(1, len(names) + 1))
    decision = next(
        n for n, name in enumerate(names, 1) if name == f"os.rename logs/sub-01/.change/{JOURNAL}"
    )
    after = range(decision + 1, len(names) + 1)
    return [decision // 2, decision, *after[:: max(1, len(after) // SOME)]]


def main() -> None:
    """Kill one after the other."""
    output, edited, result, kind = Path(sys.argv[1]), *map(Path, sys.argv[2:4]), sys.argv[4]
    from legseg_bids.bids.journal import settle
    from legseg_bids.workflows import correcting  # noqa: F401 - once, before the forks

    start, log = output.with_name("start"), result.with_suffix(".steps")
    shutil.copytree(output, start)
    before = contents(output)
    code, names = run(kind, output, edited, 0, log)
    assert code == 0, names
    after = contents(output)
    found = []
    for fatal in chosen(names):
        shutil.rmtree(output)
        shutil.copytree(start, output)
        code, done = run(kind, output, edited, fatal, log)
        assert code == -signal.SIGKILL, done
        settle(output, "01")
        now = {name: data for name, data in contents(output).items() if ".tmp" not in name}
        state = "old" if now == before else "new" if now == after else "mixed"
        found.append([done[-1], state])
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
