from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from legseg_bids.errors import UsageError
from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.execution import Progress, choose_plugin, is_parallel
from legseg_bids.workflows.nipype_settings import configure_nipype

SETTINGS = Settings(Path("/in"), Path("/out"), nprocs=4, omp_nthreads=2, memory=3 * GIB)


def ignore(node: object, status: str) -> None: ...


@pytest.mark.parametrize(
    ("workers", "images", "name"),
    [(1, 5, "LinearPlugin"), (4, 1, "LinearPlugin"), (2, 2, "ResilientMultiProc")],
)
def test_one_worker_or_one_image_runs_in_this_process(
    workers: int, images: int, name: str
) -> None:
    plugin = choose_plugin(replace(SETTINGS, nprocs=workers), images, ignore)
    assert type(plugin).__name__ == name


@pytest.mark.parametrize(("images", "workers"), [(9, 4), (3, 3)])
def test_parallel_runs_get_what_their_images_can_use(images: int, workers: int) -> None:
    plugin = choose_plugin(SETTINGS, images, ignore)
    assert (plugin.processors, plugin.memory_gb) == (2 * workers, 3.0 * workers)
    assert plugin.plugin_args["mp_context"] == "forkserver"


def test_nipype_is_quiet_fast_and_never_calls_home() -> None:
    import os

    from nipype import config

    configure_nipype()
    assert os.environ["NO_ET"] == os.environ["NIPYPE_NO_ET"] == "1"
    assert float(config.get("execution", "poll_sleep_duration")) <= 0.1
    assert config.get("execution", "crashfile_format") == "txt"


def test_a_step_that_was_left_out_after_a_failure_did_not_end(tmp_path: Path) -> None:
    from nipype.interfaces.utility import Function
    from nipype.pipeline.engine import Node, Workflow

    seen: list[tuple[str, str]] = []
    workflow = Workflow(name="wf", base_dir=str(tmp_path))
    workflow.config = {"execution": {"crashdump_dir": str(tmp_path)}}
    first, second = (
        Node(Function(input_names=["x"], output_names=["x"], function=halve), name=name)
        for name in ("first", "second")
    )
    first.inputs.x = "nothing to halve"
    workflow.connect(first, "x", second, "x")
    plugin = choose_plugin(
        replace(SETTINGS, nprocs=1), 1, lambda node, status: seen.append((node.name, status))
    )
    with pytest.raises(Exception, match="first"):
        workflow.run(plugin=plugin)
    assert seen == [("first", "start"), ("first", "exception")]


def halve(x):  # type: ignore[no-untyped-def]
    return x / 2


class TestPluginFile:
    def choose(self, tmp_path: Path, text: str, workers: int = 4) -> Any:
        (tmp_path / "plugin.yml").write_text(text)
        settings = replace(SETTINGS, nprocs=workers, plugin_file=tmp_path / "plugin.yml")
        return choose_plugin(settings, 9, ignore, monitor=tmp_path / "table.tsv")

    def test_multiproc_is_ours_and_its_arguments_go_first(self, tmp_path: Path) -> None:
        """But for processors and memory: the parser has weighed them against the options."""
        text = "plugin: MultiProc\nplugin_args: {n_procs: 3, maxtasksperchild: 1}\n"
        plugin = self.choose(tmp_path, text, workers=2)
        assert type(plugin).__name__ == "ResilientMultiProc"
        assert plugin.processors == 2 * SETTINGS.omp_nthreads
        assert plugin.memory_gb == 2 * SETTINGS.memory / GIB
        assert plugin.plugin_args["maxtasksperchild"] == 1
        assert plugin.plugin_args["status_callback"] is ignore

    def test_linear_is_serial_whatever_nprocs_says(self, tmp_path: Path) -> None:
        assert type(self.choose(tmp_path, "plugin: Linear")).__name__ == "LinearPlugin"

    def test_a_batch_system_is_left_to_nipype(self, tmp_path: Path) -> None:
        (tmp_path / "plugin.yml").write_text('{"plugin": "SLURM", "plugin_args": {"max_jobs": 7}}')
        settings = replace(SETTINGS, plugin_file=tmp_path / "plugin.yml")
        plugin = choose_plugin(replace(settings, work_dir=Path("/shared/work")), 9, ignore)
        assert type(plugin).__name__ == "SLURMPlugin"
        assert plugin.max_jobs == 7
        with pytest.raises(UsageError, match="give it with -w"):
            choose_plugin(settings, 9, ignore)

    @pytest.mark.parametrize(("name", "parallel"), [("SLURM", True), ("Linear", False)])
    def test_what_makes_one_graph(self, tmp_path: Path, name: str, parallel: bool) -> None:
        (tmp_path / "plugin.yml").write_text(f"plugin: {name}")
        assert is_parallel(replace(SETTINGS, plugin_file=tmp_path / "plugin.yml")) == parallel
        assert is_parallel(SETTINGS)
        assert not is_parallel(replace(SETTINGS, nprocs=1))


def node(workflow: str, step: str) -> SimpleNamespace:
    return SimpleNamespace(fullname=f"legseg_wf.{workflow}.{step}")


def steps(verbosity: int) -> list[str]:
    lines: list[str] = []
    names = {"one_wf": "sub-01_T1w", "two_wf": "sub-02\n_T1w"}
    progress = Progress(names, lines.append, verbosity)
    for workflow in ("one_wf", "two_wf"):
        for step in ("prepare", "locate", "segment"):
            progress(node(workflow, step), "start")
            progress(node(workflow, step), "end")
    progress(node("one_wf", "draw"), "end")
    progress(node("two_wf", "merge"), "retry")
    progress(node("two_wf", "merge"), "exception")
    progress(node("other_wf", "merge"), "exception")
    return lines


def test_progress_names_the_image_its_number_and_the_step() -> None:
    lines = steps(0)
    assert len(lines) == 7
    assert lines[0] == "[0:00:00] (1/2) sub-01_T1w: reading and preparing"
    assert lines[3].endswith("(2/2) sub-02\\n_T1w: segmenting")
    assert "done in 0:00:00; 1 of 2 images done, about 0:00:00 left" in lines[4]
    assert "the process was killed; once more, alone" in lines[5]
    assert lines[6].endswith("merging labels FAILED after 0:00:00; 2 of 2 images done")


def test_progress_is_lines_without_control_characters() -> None:
    """A log file shows what a terminal shows: nothing is written over."""
    assert all(line.isprintable() for line in steps(1))


def test_verbose_progress_tells_every_step() -> None:
    assert any("locating" in line for line in steps(1))
    assert not any("locating" in line for line in steps(0))


def test_remaining_time_is_that_of_the_images_not_done_at_the_pace_so_far() -> None:
    lines: list[str] = []
    seconds = iter([0.0, 10.0, 20.0, 100.0, 130.0])
    names = {f"{n}_wf": f"sub-{n}" for n in range(5)}
    progress = Progress(names, lines.append, clock=lambda: next(seconds))
    progress(node("0_wf", "prepare"), "start")
    progress(node("1_wf", "prepare"), "start")
    progress(node("0_wf", "draw"), "end")
    progress(node("1_wf", "draw"), "end")
    assert lines[2].endswith("done in 0:01:30; 1 of 5 images done, about 0:06:40 left")
    assert lines[3].endswith("done in 0:01:50; 2 of 5 images done, about 0:03:15 left")


def test_an_image_that_was_interrupted_is_not_called_done() -> None:
    lines: list[str] = []
    progress = Progress({"a_wf": "a"}, lines.append)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        progress(node("a_wf", "draw"), "end")
    assert lines == []


def test_an_image_fails_once_however_many_of_its_steps_do() -> None:
    lines: list[str] = []
    progress = Progress({"a_wf": "a", "b_wf": "b"}, lines.append)
    progress(node("a_wf", "locate"), "exception")
    progress(node("a_wf", "measure"), "exception")
    assert len(lines) == 1
