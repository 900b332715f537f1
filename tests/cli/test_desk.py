"""``legseg-desk``: words, messages and exit codes; what it serves has tests of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from legseg_bids.cli.desk import main, parser


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A server changes these for its whole process."""
    mask, handler = os.umask(0o022), signal.getsignal(signal.SIGTERM)
    yield
    os.umask(mask)
    signal.signal(signal.SIGTERM, handler)


def test_defaults() -> None:
    options = parser().parse_args([])
    assert (options.workspace, options.port, options.models) == (Path("~/legseg-desk"), 0, None)
    assert not options.no_browser


@pytest.mark.parametrize("port", ["-1", "65536", "x", "1.5", "٣", ""])
def test_ports_that_are_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", port])
    assert ended.value.code == 2
    assert "port" in capsys.readouterr().err


def test_help_imports_no_server() -> None:
    script = (
        "import sys\n"
        "from legseg_bids.cli.desk import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'starlette', 'uvicorn', 'numpy', 'nibabel'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--workspace" in done.stdout


def test_a_port_that_is_taken(tmp_path: Path, tiny_models: Path, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["--workspace", str(tmp_path / "desk"), "--port", port, "--no-browser"]
        assert main([*words, "--models", str(tiny_models)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"legseg-desk: port {port} of 127.0.0.1 cannot be used")


def test_a_workspace_that_cannot_be(tmp_path: Path, tiny_models: Path, capsys) -> None:
    (tmp_path / "file").touch()
    words = ["--workspace", str(tmp_path / "file"), "--no-browser", "--models", str(tiny_models)]
    assert main(words) == 73
    assert "cannot be written" in capsys.readouterr().err


def test_models_that_are_not_there(tmp_path: Path, capsys) -> None:
    words = ["--workspace", str(tmp_path / "desk"), "--models", str(tmp_path / "none")]
    assert main([*words, "--no-browser"]) == 1
    assert "no folder of models" in capsys.readouterr().err
    assert not (tmp_path / "desk").exists()


def test_without_the_packages_of_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["--workspace", str(tmp_path / "desk")]) == 2
    assert "install legseg-bids[desk]" in capsys.readouterr().err


def test_the_browser_gets_a_file_and_no_token(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    opened: list[tuple[str, str, int]] = []

    def look(address: str) -> bool:
        door = Path(address.removeprefix("file://"))
        opened.append((address, door.read_text(), door.stat().st_mode & 0o777))
        return True

    monkeypatch.setattr("webbrowser.open", look)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("legseg_bids.desk.serve._run", lambda *_: None)
    words = ["--workspace", str(tmp_path / "d"), "--models", str(tiny_models)]
    assert main(words) == 0
    ((address, page, mode),) = opened
    token = capsys.readouterr().out.split("token=")[1].split()[0]
    assert token in page
    assert token not in address
    assert mode == 0o600
    assert not (tmp_path / "d" / "open-legseg-desk.html").exists()
    # Without a screen it would be one that takes the terminal.
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    assert main(words) == 0
    assert len(opened) == (1 if sys.platform.startswith("linux") else 2)
