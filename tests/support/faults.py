"""Runs of the application that are killed at their n-th step of writing.

Everything is imported once, in a process of its own; each run is a fork of it, so that dozens of
runs take seconds. Every file that is opened for writing in the output folder, moved or removed
there is a step; the process kills itself (SIGKILL, as the kernel does for want of memory) just
before one of them.

    python faults.py OUTPUT_DIR RESULT.json STEP,STEP,... -- WORDS OF LEGSEG

For each STEP: the output folder is cleared, the run is killed before that step, and repeated to
its end. Step 0 means that nothing is killed. What the folder then holds is written to the result.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
RUN_ID = re.compile(rb"\d{8}-\d{6}_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TABLES_ALONE = tuple(f"{name}_dseg" for name in ("compartments", "limbs", "profiles"))
STAMP = re.compile(rb"legseg-inputs\" content=\"[0-9a-f]{64}")


class Steps:
    """Counts the steps of this process, and kills it before one of them."""

    def __init__(self, output: Path, fatal: int, log: Path) -> None:
        self.output, self.fatal, self.log = str(output), fatal, log
        self.names: list[str] = []
        self.process = os.getpid()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an audit event."""
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if not (writes or event in ("os.rename", "os.remove", "os.mkdir")):
            return
        path = os.fspath(arguments[0]) if not isinstance(arguments[0], int) else ""
        if os.getpid() != self.process or not str(path).startswith(self.output):
            return
        target = arguments[1] if event == "os.rename" else path
        self.names.append(f"{event} {os.path.relpath(target, self.output)}")
        if len(self.names) == self.fatal:
            self.log.write_text(json.dumps(self.names))
            os.kill(os.getpid(), signal.SIGKILL)


def run(words: list[str], output: Path, fatal: int, log: Path) -> tuple[int, list[str]]:
    """Run the application in a fork; how it ended (negative: by which signal), and its steps."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            steps = Steps(output, fatal, log)
            sys.addaudithook(steps)
            from legseg_bids.cli.main import main

            code = main(words)
            log.write_text(json.dumps(steps.names))
        finally:
            sys.stdout.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), json.loads(log.read_text())


def contents(output: Path) -> dict[str, str]:
    """Digest of each file but the logs; names of runs, which hold the time, left out.

    Temporary files of the root are left out too: another run might be writing them, so only old
    ones are removed.
    """
    out = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        left_out = name.startswith("logs/") or re.fullmatch(r"\.[^/]+\.tmp", name)
        if path.is_file() and not left_out:
            content = path.read_bytes()
            if name.endswith((".json", ".html")):
                content = RUN_ID.sub(b"RUN", content)
            if name.endswith(".html"):
                # A page holds a hash of all that it was made from, names of runs included.
                content = STAMP.sub(b"", content)
            out[name] = hashlib.sha256(content).hexdigest()
    return out


def temporary(output: Path) -> list[str]:
    """Files that a killed run has left, and nobody has removed, in the folders of participants."""
    found = (path.relative_to(output).as_posix() for path in output.rglob("*.tmp"))
    return sorted(name for name in found if "/" in name)


def warm() -> None:
    """Import what a run needs, but start no thread that a fork would lose."""
    import bids  # noqa: F401
    import openvino  # noqa: F401

    from legseg_bids.workflows.station import preload

    preload()


def main() -> None:
    """Make all runs."""
    output, result = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    steps, words = [int(step) for step in sys.argv[3].split(",")], sys.argv[5:]
    log = result.with_suffix(".steps")
    warm()
    found: list[dict[str, Any]] = []
    for step in steps:
        shutil.rmtree(output, ignore_errors=True)
        code, names = run(words, output, step, log)
        after = list(output.rglob("*_dseg.json")) if step else []
        broken = [str(path) for path in after if not _whole(path)]
        again = run(words, output, 0, log)[0] if step else None
        found.append(
            {
                "step": step,
                "code": code,
                "again": again,
                "names": names,
                "broken": broken,
                "contents": contents(output),
                "temporary": temporary(output),
            }
        )
    result.write_text(json.dumps(found))


def _whole(sidecar: Path) -> bool:
    """Whether all that a sidecar vouches for can be read; it is written last."""
    stem = sidecar.name.removesuffix(".json")
    try:
        json.loads(sidecar.read_text())
        if not stem.endswith(TABLES_ALONE):
            gzip.decompress(sidecar.with_name(f"{stem}.nii.gz").read_bytes())
        return bool(sidecar.with_name(f"{stem}.tsv").read_text().endswith("\n"))
    except (OSError, ValueError, EOFError):
        return False


if __name__ == "__main__":
    main()
