from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from legseg_bids.bids.runlog import to_toml
from legseg_bids.cli.parser import parse, settings_from
from legseg_bids.errors import UsageError
from legseg_bids.settings import GIB, Settings


@pytest.fixture
def full(tmp_path: Path) -> Settings:
    """Settings of which none has its default value."""
    (tmp_path / "plugin.json").write_text('{"plugin": "Linear"}')
    made = Settings(
        bids_dir=tmp_path / "bids",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        participants=("01", "02"),
        sessions=("a",),
        models_dir=tmp_path / "models",
        engine="torch",
        device="cuda:1",
        nprocs=3,
        omp_nthreads=5,
        memory=7 * GIB + 1,
        overwrite=True,
        write_probabilities=True,
        skip_bids_validation=True,
        stop_on_first_crash=True,
        merge_stations=False,
        write_reports=False,
        filter_file=tmp_path / "filter.json",
        clean_workdir=True,
        plugin_file=tmp_path / "plugin.json",
        write_graph=True,
        resource_monitor=True,
        random_seed=-4,
    )
    for field in dataclasses.fields(Settings):
        if field.default is not dataclasses.MISSING:
            assert getattr(made, field.name) != field.default, field.name
    return made


def log(settings: Settings, path: Path, **changes: object) -> str:
    sections = {"run": {"id": "x"}, "settings": settings.as_dict() | changes}
    path.write_text(to_toml(sections))
    return str(path)


def test_a_log_holds_everything_that_is_needed_to_run_again(
    full: Settings, tmp_path: Path
) -> None:
    assert settings_from(parse(["--config-file", log(full, tmp_path / "run.toml")])) == full


def test_defaults_run_again_as_defaults(tmp_path: Path) -> None:
    plain = Settings(tmp_path / "bids", tmp_path / "out")
    assert settings_from(parse(["--config_file", log(plain, tmp_path / "run.toml")])) == plain


def test_the_command_line_goes_first(full: Settings, tmp_path: Path) -> None:
    words = ["--config-file", log(full, tmp_path / "run.toml"), "--participant-label", "09"]
    words += ["--no-overwrite", "--merge-stations", "--omp-nthreads", "1", "--mem-gb", "60"]
    made = settings_from(parse(words))
    assert made == dataclasses.replace(
        full,
        participants=("09",),
        overwrite=False,
        merge_stations=True,
        nprocs=15,
        omp_nthreads=1,
        memory=4_000_000_000,
    )


def test_folders_may_be_said_again(full: Settings, tmp_path: Path) -> None:
    words = [str(full.bids_dir), str(full.output_dir), "participant", "--config-file"]
    assert settings_from(parse([*words, log(full, tmp_path / "run.toml")])) == full
    assert parse([*words[:2], "group", *words[3:], str(tmp_path / "run.toml")]).analysis_level == (
        "group"
    )


def test_other_folders_are_another_run(full: Settings, tmp_path: Path) -> None:
    words = ["elsewhere", "--config-file", log(full, tmp_path / "run.toml")]
    with pytest.raises(UsageError, match="bids_dir is elsewhere, but"):
        parse(words)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"participant": ["01"]}, "did you mean participants"),
        ({"nprocs": "two"}, "nprocs is 'two'; expected a whole number"),
        ({"nprocs": True}, "expected a whole number"),
        ({"nprocs": 0}, "expected a whole number"),
        ({"overwrite": 1}, "expected true or false"),
        ({"participants": "01"}, "expected a list of labels"),
        ({"participants": [1]}, "expected a list of labels"),
        ({"work_dir": 3}, "expected a path"),
    ],
)
def test_what_makes_no_sense_is_refused(
    full: Settings, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        parse(["--config-file", log(full, tmp_path / "run.toml", **changes)])


@pytest.mark.parametrize(
    ("text", "said"),
    [("[run]\nid = 1\n", "no table"), ("settings = 3", "no table"), ("= ", "cannot be read")],
)
def test_a_file_that_is_no_log(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        parse(["--config-file", str(tmp_path / "x.toml")])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        parse(["--config-file", str(tmp_path / "x.toml")])


def test_folders_are_needed_from_somewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_text("[settings]\nnprocs = 1\n")
    with pytest.raises(SystemExit) as stop:
        parse(["--config-file", str(tmp_path / "x.toml")])
    assert stop.value.code == 2
    assert "required: bids_dir, output_dir" in capsys.readouterr().err


def test_paths_with_any_character_come_back(tmp_path: Path) -> None:
    odd = tmp_path / 'a "b"\n\\c ü'
    plain = Settings(odd / "bids", odd / "out")
    path = log(plain, tmp_path / "run.toml")
    assert tomllib.loads(Path(path).read_text())["settings"]["bids_dir"] == str(odd / "bids")
    assert settings_from(parse(["--config-file", path])).bids_dir == odd / "bids"
