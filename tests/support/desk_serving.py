"""A desk as a person starts it: a process of its own, a workspace, a link with a token."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
LINK = re.compile(r"https?://\S+/open\?token=\S+")


@dataclass
class Serving:
    """A running desk."""

    process: subprocess.Popen[str]
    link: str
    workspace: Path
    models: Path

    @property
    def origin(self) -> str:
        """Where its pages come from."""
        return self.link.split("/open")[0]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.origin.rsplit(":", 1)[1])

    def stop(self) -> None:
        """End it, as Ctrl-C does."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def again(self) -> Serving:
        """Another start in the same place."""
        return serve(self.workspace, self.models, self.port)


def serve(workspace: Path, models: Path, port: int = 0) -> Serving:
    """Start a desk and wait for its link.

    Raises
    ------
    RuntimeError
        If it does not tell one.
    """
    words = ["--workspace", str(workspace), "--models", str(models), "--no-browser"]
    words += ["--port", str(port)] if port else []
    process = subprocess.Popen(
        [sys.executable, "-m", "legseg_bids.cli.desk", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    told, end = "", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.2)[0]:
            line = process.stdout.readline()
            told += line
            if found := LINK.search(line):
                return _answering(Serving(process, found[0], workspace, models), end)
            if not line:
                break
    process.kill()
    raise RuntimeError(f"the desk did not start: {told}")


def _answering(serving: Serving, end: float) -> Serving:
    """Wait until it listens."""
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", serving.port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            break
    return serving
