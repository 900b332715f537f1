from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from legseg_bids.errors import UsageError
from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.execution import choose_plugin, is_parallel
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
