from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, operator, sys
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    if sys.argv[1:]:
        from legseg_bids.bids.sockets import make_room_for_sockets
        make_room_for_sockets()
        make_room_for_sockets()
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, context) as pool:
        print(list(pool.map(operator.neg, [1, 2, 3])))
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = folder / "program.py"
    path.write_text(PROGRAM)
    long = folder / ("x" * 100)
    long.mkdir(exist_ok=True)
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, str(path), *words],
        env={**os.environ, "TMPDIR": str(long), "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_processes_start_where_the_temporary_folder_has_a_long_name(tmp_path: Path) -> None:
    assert "path too long" in run(tmp_path).stderr  # or there is nothing to mend
    before = set(tmp_path.rglob("*"))
    done = run(tmp_path, "with room")
    assert set(tmp_path.rglob("*")) == before
    assert (done.returncode, done.stdout, done.stderr) == (0, "[-1, -2, -3]\n", "")


def test_where_the_name_is_short_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from legseg_bids.bids import sockets

    monkeypatch.setattr(sockets.tempfile, "tempdir", "/tmp")
    monkeypatch.setattr(sockets.os, "open", None)
    sockets.make_room_for_sockets()


def test_the_folder_is_named_by_a_descriptor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from legseg_bids.bids import sockets

    long = tmp_path / ("x" * 80)
    long.mkdir()
    seen: list[str | None] = []
    monkeypatch.setattr(sockets.tempfile, "tempdir", str(long))
    monkeypatch.setattr(
        sockets.util, "get_temp_dir", lambda: seen.append(sockets.tempfile.tempdir)
    )
    sockets.make_room_for_sockets()
    assert seen[0] is not None
    assert len(seen[0]) < 30
    assert Path(seen[0]).samefile(long)
    assert sockets.tempfile.tempdir == str(long)
