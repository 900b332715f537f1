"""A desk for tests: in this process, or as a server of its own."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from anyio import to_thread
from reported import Study, write_study

with warnings.catch_warnings():
    # It would rather have a package that nothing else needs.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from legseg_bids.desk.access import HEADER, Access, Attempts
from legseg_bids.desk.app import create_app
from legseg_bids.desk.core import Desk
from legseg_bids.desk.limits import load_limits
from legseg_bids.desk.refusals import Unfit
from legseg_bids.desk.workspace import Workspace

ROOT = Path(__file__).parents[2]
PORT = 45678
PATIENCE = 60.0

SITE = r"""
import json, os, sys

log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
WATCHED = {"socket.bind", "socket.connect", "socket.sendto", "socket.getaddrinfo",
           "socket.gethostbyname", "socket.gethostbyaddr"}

def watch(event, arguments):
    if event in WATCHED:
        told = [repr(value) for value in arguments if not hasattr(value, "fileno")]
        os.write(log, (json.dumps([event, told]) + "\n").encode())

sys.addaudithook(watch)
"""
"""Writes down what a process, and those that it starts, do with sockets."""


class InHand:
    """A desk in this process, with a browser that has shown the token.

    Attributes
    ----------
    client : TestClient
        The browser.
    desk : Desk
        What it talks to.
    headers : dict
        What the page sends along with a change.
    """

    def __init__(self, client: TestClient, desk: Desk) -> None:
        self.client, self.desk = client, desk
        assert client.get("/open", params={"token": desk.access.token}).status_code == 303
        self.headers = {HEADER: client.get("/api/session").json()["csrf"]}

    def change(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ):
        """Ask for a change, as the page does."""
        sent = {**self.headers, **(headers or {})}
        return self.client.request(method, path, headers=sent, **more)

    def project(self, name: str = "Study", path: Path | None = None) -> str:
        """Make a project; its identifier."""
        asked = {"name": name, **({"path": str(path)} if path else {})}
        made = self.change("POST", "/api/projects", json=asked)
        assert made.status_code == 201, made.text
        return made.json()["id"]

    def upload(self, project: str, path: str, content: bytes):
        """Send a file."""
        where = f"/api/projects/{project}/files"
        return self.change("PUT", where, params={"path": path}, content=content)

    def wait(self, project: str, *states: str) -> dict[str, Any]:
        """The project, as soon as it is in one of these states."""
        until = time.monotonic() + PATIENCE
        while True:
            told = self.client.get(f"/api/projects/{project}").json()
            if told["state"] in states:
                return told
            assert time.monotonic() < until, told
            time.sleep(0.02)

    def folder(self, project: str) -> Path:
        """The project's own."""
        return self.desk.workspace.root / project

    def with_results(self, **options: Any) -> tuple[str, Study, list[dict[str, Any]]]:
        """A project that was segmented; the study, and its list of results."""
        project = self.project("Finished")
        study = write_study(self.folder(project) / "made", **options)
        (self.folder(project) / "derivatives").mkdir()
        shutil.move(study.output_dir, self.folder(project) / "derivatives" / "legseg")
        self.desk.projects[project].bids = str(study.bids_dir)
        study = replace(study, output_dir=self.folder(project) / "derivatives" / "legseg")
        results = self.client.get(f"/api/projects/{project}/results").json()
        return project, study, results


async def worker_here(
    folder: Path, temporary: Path, *words: str, begun: Any = None
) -> dict[str, Any]:
    """As `legseg_bids.desk.children.ask_worker`, without a process that takes seconds to begin."""
    from legseg_bids.desk import worker

    out = io.StringIO()
    with redirect_stdout(out):
        code = await to_thread.run_sync(worker.main, words)
    answer = json.loads(out.getvalue().splitlines()[-1])
    if code:
        raise Unfit(answer["error"])
    return answer


@contextmanager
def desk_in_hand(root: Path, port: int = PORT, **limits: int) -> Iterator[InHand]:
    """Begin and end a desk in this process."""
    chosen = replace(load_limits(), disk_reserve=0, **limits)
    access = Access(port, Attempts(chosen.token_tries, chosen.token_refill))
    desk = Desk(Workspace(root), access, chosen)
    app = create_app(desk, lambda _: True)
    with TestClient(app, f"http://127.0.0.1:{port}", follow_redirects=False) as client:
        yield InHand(client, desk)


@dataclass
class Served:
    """A desk in a process of its own."""

    process: subprocess.Popen[str]
    address: str
    log: Path

    @property
    def base(self) -> str:
        return self.address.partition("/open")[0]

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """A browser that has shown the token."""
        with httpx.Client(base_url=self.base, timeout=PATIENCE) as client:
            assert client.get(self.address).status_code == 303
            client.headers[HEADER] = client.get("/api/session").json()["csrf"]
            yield client

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def sockets(self) -> list[list[Any]]:
        """What it and its children did with sockets."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def _as_from_a_terminal() -> None:
    """Undo what a shell does to commands in the background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def served(folder: Path, *words: object) -> Iterator[Served]:
    """Start ``legseg-desk`` on a workspace in a folder, watched; kill it at the end."""
    for name in ("site", "home"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    log = folder / "sockets.jsonl"
    log.touch()
    paths = os.pathsep.join([str(folder / "site"), str(ROOT)])
    more = {"PYTHONPATH": paths, "WATCH_LOG": str(log), "HOME": str(folder / "home")}
    command = [sys.executable, "-m", "legseg_bids.cli.desk", "--no-browser"]
    process = subprocess.Popen(
        [*command, "--workspace", str(folder / "desk"), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr.txt").open("w"),
        text=True,
        env={**os.environ, **more},
        cwd=folder,
        preexec_fn=_as_from_a_terminal,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, (line, (folder / "stderr.txt").read_text())
        yield Served(process, found[0], log)
    finally:
        process.kill()
        process.wait(PATIENCE)
