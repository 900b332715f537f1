"""Run the application in processes of its own, and see what all of them touch.

An audit hook is put into every Python process (the main one, nipype's server of workers and the
workers themselves) by a ``sitecustomize`` module. It writes down each file that is opened for
writing, made, moved or removed; and it forbids every socket but those between processes of this
machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = Path(__file__).parents[2] / "run.py"

SITE = r"""
import json, os, sys

log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Which arguments of an event are paths that change, and where the folder's descriptor stands.
CHANGING = {
    "os.mkdir": ((0,), 2), "os.remove": ((0,), 1), "os.rmdir": ((0,), 1), "os.rename": ((0, 1), 2),
    "os.link": ((1,), 3), "os.symlink": ((1,), 2), "os.chmod": ((0,), 2), "os.chown": ((0,), 3),
    "os.truncate": ((0,), None), "os.utime": ((0,), 3), "os.setxattr": ((0,), None),
}
NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")

def tell(kind, value):
    os.write(log, (json.dumps([kind, value]) + "\n").encode())

def real(path, folder=-1):
    path = os.fsdecode(path)
    if folder not in (-1, None):
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    parent, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(parent), name)

def watch(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, (str, bytes)) and flags & WRITING:
            tell("written", real(path))
    elif event in CHANGING:
        which, folder = CHANGING[event]
        descriptor = arguments[folder] if folder is not None else -1
        for number in which:
            if isinstance(arguments[number], (str, bytes, os.PathLike)):
                tell("written", real(arguments[number], descriptor))
    elif event == "socket.__new__" and int(arguments[1]) != 1 or event in NAMES:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "_has_ipv6":
            frame = frame.f_back
        if frame is not None and frame.f_globals["__name__"] == "urllib3.util.connection":
            # On import (by pydicom, which nibabel looks for): does this machine know IPv6? It
            # binds a socket to ::1 and reaches nobody.
            return
        tell("network", [event, *map(str, arguments[1:])])
        raise RuntimeError("the network is forbidden here")
    elif event in STARTING:
        words = arguments[1] if len(arguments) > 1 else ()
        tell("started", [str(arguments[0]), [os.fsdecode(word) for word in words or ()]])

sys.addaudithook(watch)
"""


@dataclass(frozen=True)
class Watched:
    """How a run ended, and what its processes did.

    Attributes
    ----------
    code : int
        Exit code.
    out, err : str
        What it printed.
    written : frozenset of Path
        Files and folders that were made, changed, moved or removed; folders resolved.
    network : list
        Attempts to reach a network, or to ask for the address of a host.
    started : list of (str, list of str)
        Other programmes, with their arguments.
    """

    code: int
    out: str
    err: str
    written: frozenset[Path]
    network: list[Any]
    started: list[tuple[str, list[str]]]

    def written_outside(self, *folders: Path) -> list[Path]:
        """What was touched elsewhere than in these folders."""
        inside = [folder.resolve() for folder in folders]
        return sorted(
            path
            for path in self.written
            if path != Path(os.devnull) and not any(path.is_relative_to(f) for f in inside)
        )


def run_watched(
    folder: Path,
    *words: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: list[str] | None = None,
) -> Watched:
    """Run ``run.py`` with these words.

    Parameters
    ----------
    folder : Path
        For the watcher's own files, the home and the temporary folder of the run.
    cwd : Path, optional
        Current folder of the run, by default ``folder / "cwd"``.
    environment : mapping, optional
        What is different in the environment.
    before : list of str, optional
        Words before the command, as of ``unshare``.
    """
    log = folder / "watch.jsonl"
    log.touch()
    for name in ("site", "home", "tmp", "cwd"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    done = subprocess.run(
        [*(before or []), sys.executable, str(RUN), *map(str, words)],
        capture_output=True,
        cwd=cwd or folder / "cwd",
        env={**environment_for(folder), **(environment or {})},
        timeout=90,
        check=False,
    )
    seen = [json.loads(line) for line in log.read_text().splitlines()]
    return Watched(
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
        frozenset(Path(value) for kind, value in seen if kind == "written"),
        [value for kind, value in seen if kind == "network"],
        [(first, words) for kind, (first, words) in (s for s in seen if s[0] == "started")],
    )


def environment_for(folder: Path) -> dict[str, str]:
    """A clean environment: nothing says where to be quiet, everything private is in a folder."""
    quiet = {"NO_ET", "NIPYPE_NO_ET", "DENO_DIR", "XDG_CACHE_HOME", "PYTHONPATH"}
    kept = {key: value for key, value in os.environ.items() if key not in quiet}
    return {
        **kept,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(folder / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "WATCH_LOG": str(folder / "watch.jsonl"),
    }
