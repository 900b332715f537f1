"""``legseg-reproduce``: what it lists, refuses and writes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from phantom import write_phantom

from legseg_bids.cli.reproduce import main, parser
from legseg_bids.errors import ExitCode


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    atlas = write_phantom(tmp_path / "atlas", "vhm")
    write_phantom(atlas, "vhf")
    names = {"atlas": atlas, "cache": tmp_path / "cache", "out": tmp_path / "out"}
    return [word for name, path in names.items() for word in (f"--{name}", str(path))]


def test_list_shows_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown == sorted(shown)
    assert {"partial-labels", "spatial-channel", "fat-replacement"} <= set(shown)


def test_quick_run_writes_and_a_second_one_goes_on(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["resnet-bones", *folders, "--quick"]
    assert main(words) == 0
    assert (tmp_path / "out" / "resnet-bones" / "results.md").is_file()
    capsys.readouterr()
    assert main(words) == 0
    assert "are there already" in capsys.readouterr().out


def test_unknown_name_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == ExitCode.USAGE
    assert "partial-labels" in capsys.readouterr().err


def test_folders_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["partial-labels", "--atlas", "x"]) == ExitCode.USAGE
    assert "--cache, --out not given" in capsys.readouterr().err


def test_missing_map_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [f"--{n}={tmp_path / n}" for n in ("atlas", "cache", "out")]
    assert main(["partial-labels", *folders]) == ExitCode.FAILED
    message = capsys.readouterr().err
    assert "vhm_labels.nii.gz not found" in message
    assert "Traceback" not in message


def test_folder_that_cannot_be_written_is_named(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("in the way")
    assert main(["resnet-bones", *folders, "--quick"]) == ExitCode.NO_OUTPUT
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--minutes", "0"],
        ["--minutes", "soon"],
        ["--seeds", "0"],
        ["--seeds", "1.5"],
        ["--threads", "-1"],
    ],
)
def test_numbers_must_be_sensible(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["partial-labels", *words])
    assert stop.value.code == ExitCode.USAGE
