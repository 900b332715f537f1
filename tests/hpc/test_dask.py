"""The way by Dask: the calls without it, and everything on a local cluster where it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from cluster import dataset, program

FILE = Path(__file__).parents[2] / "hpc" / "legseg_dask.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("legseg_dask", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_call_for_each_participant(script: ModuleType, tmp_path: Path) -> None:
    bids = dataset(tmp_path / "the data", "01", "02")
    (bids / "sub-03.txt").touch()
    found = list(script.calls(Path("legseg"), bids, tmp_path / "out", 2, ["--overwrite"]))
    assert [call.participant for call in found] == ["sub-01", "sub-02"]
    assert found[0].words[:4] == ("legseg", str(bids), str(tmp_path / "out"), "participant")
    assert found[0].words[-1] == "--overwrite"


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("print('a')\nprint('all is well')", 0, "all is well"),
        ("sys.exit('no such option')", 1, "no such option"),
        ("os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_a_call(script: ModuleType, tmp_path: Path, source: str, code: int, line: str) -> None:
    legseg = program(tmp_path / "legseg", source)
    assert script.run(script.Call("sub-01", (str(legseg),))) == ("sub-01", code, line)


def test_on_a_local_cluster(
    tmp_path: Path, script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="needs dask")
    bids = dataset(tmp_path / "data", "01", "02", "03")
    codes = "sys.exit({'sub-01': 66, 'sub-02': 1}.get(sys.argv[5], 0))"
    legseg = program(tmp_path / "legseg", f"print('ended')\n{codes}")
    words = [str(bids), str(tmp_path / "out"), "--program", str(legseg)]
    assert script.main(words) == 1
    out = capsys.readouterr().out
    assert "sub-02: 1: ended" in out
    assert out.endswith("2 of 3 participants without failure\n")
