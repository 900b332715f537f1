from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

import legseg_bids
from legseg_bids.cli.exit_codes import load_exit_codes
from legseg_bids.cli.parser import build_parser, parse, settings_from, without_effect
from legseg_bids.errors import NoFilterMatch, UnknownLevel, UsageError
from legseg_bids.settings import GIB, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("01", "02", "03"):
        (tmp_path / "bids" / f"sub-{label}").mkdir(parents=True)
    return tmp_path


def settings(folder: Path, *options: str) -> Settings:
    words = [str(folder / "bids"), str(folder / "out"), "participant", *options]
    return settings_from(parse(words))


def test_defaults(folder: Path) -> None:
    made = settings(folder)
    expected = Settings(folder / "bids", folder / "out")
    varying = {"nprocs": 1, "omp_nthreads": 1, "memory": 1}
    assert dataclasses.replace(made, **varying) == dataclasses.replace(expected, **varying)


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        (["--participant-label", "sub-01", "02"], "participants", ("01", "02")),
        (["--participant_label", "01", "sub-01"], "participants", ("01",)),
        (["--exclude-participant-label", "02"], "participants", ("01", "03")),
        (
            ["--participant-label", "01", "02", "--exclude-participant-label", "sub-01"],
            "participants",
            ("02",),
        ),
        (["--session-label", "ses-a", "b"], "sessions", ("a", "b")),
        (["--session-id", "a"], "sessions", ("a",)),
        (["--skip_bids_validation"], "skip_bids_validation", True),
        (["--skip-bids-validator"], "skip_bids_validation", True),
        (["--nprocs", "8", "--omp-nthreads", "2"], "nprocs", 4),
        (["--n_cpus", "8", "--omp_nthreads", "2"], "omp_nthreads", 2),
        (["--nthreads", "1"], "omp_nthreads", 1),
        (["--nprocs", "1", "--mem", "3GiB"], "memory", 3 * GIB),
        (["--nprocs", "1", "--mem-gb", "3"], "memory", 3_000_000_000),
        (["--nprocs", "1", "--mem_mb", "3000"], "memory", 3_000_000_000),
        (["--nprocs", "4", "--omp-nthreads", "2", "--mem", "3GiB"], "memory", 3 * GIB // 2),
        (["--device", "cuda:1"], "device", "cuda:1"),
        (["--engine", "torch"], "engine", "torch"),
        (["--overwrite"], "overwrite", True),
        (["--no-overwrite"], "overwrite", False),
        (["--write-probabilities"], "write_probabilities", True),
        (["--stop-on-first-crash"], "stop_on_first_crash", True),
        (["--notrack"], "overwrite", False),
        (["--no-merge-stations"], "merge_stations", False),
        (["--merge_stations"], "merge_stations", True),
        (["--no-reports"], "write_reports", False),
        (["--no_reports"], "write_reports", False),
        (["--reports"], "write_reports", True),
        (["--clean-workdir"], "clean_workdir", True),
        (["--clean_workdir", "--no-clean-workdir"], "clean_workdir", False),
        (["--write-graph"], "write_graph", True),
        (["--resource_monitor"], "resource_monitor", True),
        (["--random-seed", "7"], "random_seed", 7),
    ],
)
def test_options(folder: Path, options: list[str], field: str, expected: object) -> None:
    assert getattr(settings(folder, *options), field) == expected


def test_relative_paths_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = ["bids", "out", "participant", "-w", "work", "--models", "models"]
    words += ["--bids-filter-file", "filter.json", "--use-plugin", "plugin.json"]
    (folder / "plugin.json").write_text('{"plugin": "Linear"}')
    made = settings_from(parse(words))
    found = [made.bids_dir, made.output_dir, made.work_dir, made.models_dir]
    found += [made.filter_file, made.plugin_file]
    names = ("bids", "out", "work", "models", "filter.json", "plugin.json")
    assert found == [folder / name for name in names]


@pytest.mark.parametrize(
    "words",
    [
        ["--nprocs", "2", "{bids}", "{out}", "participant"],
        ["{bids}", "--nprocs", "2", "{out}", "participant"],
        ["{bids}", "{out}", "--nprocs", "2", "participant"],
    ],
)
def test_options_may_stand_anywhere(folder: Path, words: list[str]) -> None:
    words = [word.format(bids=folder / "bids", out=folder / "out") for word in words]
    assert settings_from(parse([*words, "--omp-nthreads", "1"])).nprocs == 2


def test_labels_from_a_text_file(folder: Path) -> None:
    (folder / "labels.txt").write_text("sub-03\n01\n\n")
    made = settings(folder, "--participant-label", str(folder / "labels.txt"))
    assert made.participants == ("03", "01")


def test_memory_without_a_unit(folder: Path) -> None:
    with pytest.raises(UsageError, match="with a unit"):
        settings(folder, "--mem", "8")


def test_excluding_everybody(folder: Path) -> None:
    with pytest.raises(NoFilterMatch, match="excluded"):
        settings(folder, "--exclude-participant-label", "01", "02", "03")


def test_group_needs_no_input(folder: Path) -> None:
    words = [str(folder / "nowhere"), str(folder / "out"), "group"]
    assert settings_from(parse(words)).output_dir == folder / "out"


@pytest.mark.parametrize(
    "words",
    [
        ["bids", "out"],
        ["bids", "out", "participant", "--nprocs", "0"],
        ["bids", "out", "participant", "--nprocs", "two"],
        ["bids", "out", "participant", "--device", "gpu"],
        ["bids", "out", "participant", "--engine", "tensorflow"],
        ["bids", "out", "participant", "--mem", "1GB", "--mem-gb", "1"],
        ["bids", "out", "participant", "--dry-run", "--reports-only"],
        ["bids", "out", "participant", "--particip", "01"],
        ["bids", "out", "participant", "--random-seed", "x"],
        ["bids", "out", "participant", "--config-file"],
    ],
)
def test_words_that_cannot_be_parsed_end_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(words)
    assert stop.value.code == 2
    assert "usage: legseg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dry-run", "--reports-only"], "argument --reports-only: not allowed with argument"),
        (["--nprocs", "0"], "argument --nprocs: '0': expected a whole number of at least 1"),
        (["-w"], "argument -w: expected one argument"),
    ],
)
def test_a_mistake_is_told_in_one_spelling(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["bids", "out", "participant", *words])
    last = capsys.readouterr().err.splitlines()[-1]
    assert said in last
    assert "_" not in last


def test_an_unknown_level_has_a_code_of_its_own(folder: Path) -> None:
    with pytest.raises(UnknownLevel, match="expected participant or group") as trouble:
        parse(["bids", "out", "study"])
    assert trouble.value.exit_code == 17


def test_nothing_that_computes_labels_draws_random_numbers() -> None:
    """Why ``--random-seed`` is only recorded."""
    package = Path(legseg_bids.__file__).parent
    rooms = ("imaging", "segment", "measure", "interfaces", "workflows", "bids", "report")
    chance = {"random", "default_rng", "manual_seed", "shuffle"}
    for path in sorted(path for room in rooms for path in (package / room).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        imported = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        assert not chance & (named | imported), path


class TestPluginFile:
    def made(self, folder: Path, args: str, *options: str) -> Settings:
        (folder / "plugin.json").write_text(f'{{"plugin": "MultiProc", "plugin_args": {args}}}')
        return settings(folder, "--use-plugin", str(folder / "plugin.json"), *options)

    def test_processors_and_memory_are_those_of_the_file(self, folder: Path) -> None:
        made = self.made(folder, '{"n_procs": 6, "memory_gb": 9}', "--omp-nthreads", "2")
        assert (made.nprocs, made.omp_nthreads, made.memory) == (3, 2, 3 * GIB)

    def test_the_command_line_goes_first(self, folder: Path) -> None:
        options = ["--nprocs", "2", "--omp-nthreads", "1", "--mem", "4GiB"]
        made = self.made(folder, '{"n_procs": 6, "memory_gb": 9}', *options)
        assert (made.nprocs, made.memory) == (2, 2 * GIB)

    @pytest.mark.parametrize("args", ['{"n_procs": "many"}', '{"memory_gb": 0}'])
    def test_values_that_make_no_sense(self, folder: Path, args: str) -> None:
        with pytest.raises(UsageError, match="expected a number of at least 1"):
            self.made(folder, args)


def help_of() -> str:
    return build_parser().format_help()


def test_help_lists_every_exit_code() -> None:
    for row in load_exit_codes():
        assert re.search(rf"^  {row.code:d} +{re.escape(row.meaning)}$", help_of(), re.M)


def test_help_shows_each_option_in_one_spelling_and_explains_it() -> None:
    text = help_of()
    for action in build_parser()._actions:
        assert action.help
        names = [name for name in action.option_strings if name.startswith("--")]
        assert not names or any(name in text for name in names)
    assert "--skip_bids" not in text
    assert "--no-overwrite" not in text
    assert "--no-merge-stations" in text


def test_every_option_can_be_spelt_both_ways() -> None:
    known = {name for action in build_parser()._actions for name in action.option_strings}
    for name in known:
        if name.startswith("--"):
            assert "--" + name[2:].replace("-", "_") in known


def test_every_option_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "usage.md").read_text(encoding="utf-8")
    for action in build_parser()._actions:
        for name in action.option_strings:
            if "_" not in name and not name.startswith("--no-"):
                assert f"`{name}" in text, name


def test_a_missing_dataset_is_not_blamed_on_the_labels(folder: Path) -> None:
    """What is missing is said where the dataset is read."""
    words = [str(folder / "gone"), str(folder / "out"), "participant"]
    assert settings_from(parse([*words, "--exclude-participant-label", "01"])).participants == ()


def test_a_label_of_any_length_is_a_label(folder: Path) -> None:
    assert settings(folder, "--participant-label", "a" * 300).participants == ("a" * 300,)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf01\r\n02\r\n", b"sub-01\nsub-02"])
def test_files_of_labels_as_windows_writes_them(folder: Path, content: bytes) -> None:
    (folder / "labels.txt").write_bytes(content)
    made = settings(folder, "--participant-label", str(folder / "labels.txt"))
    assert made.participants == ("01", "02")


def test_a_file_of_labels_that_is_no_text(folder: Path) -> None:
    (folder / "labels.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(UsageError, match="expected a text file"):
        settings(folder, "--participant-label", str(folder / "labels.xls"))


def test_what_chooses_nothing_at_the_group_level_is_known(folder: Path) -> None:
    options = ["--session-label", "a", "--exclude-participant-label", "01"]
    words = ["-", str(folder / "out"), "group", *options, "--participant-label", "02"]
    args = parse(words)
    assert without_effect(args) == ("--exclude-participant-label", "--session-label")
    assert settings_from(args).participants == ("02",)
    assert without_effect(parse(["-", "out", "participant", *options])) == ()
    reports = parse(["-", "out", "participant", "--reports-only", *options])
    assert without_effect(reports) == ("--session-label",)


def test_reports_are_of_the_participants_in_the_output(folder: Path) -> None:
    for label in ("01", "04"):
        (folder / "out" / f"sub-{label}").mkdir(parents=True)
    made = settings(folder, "--reports-only", "--exclude-participant-label", "01")
    assert made.participants == ("04",)


@pytest.mark.parametrize("words", [["group"], ["participant", "--no-reports"]])
def test_reports_only_where_there_are_none(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--reports-only"):
        parse(["in", "out", *words, "--reports-only"])
