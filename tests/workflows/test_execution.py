from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.execution import Progress, choose_plugin
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


def steps(verbosity: int) -> list[str]:
    lines: list[str] = []
    progress = Progress({"one_wf": "sub-01_T1w", "two_wf": "sub-02_T1w"}, lines.append, verbosity)
    for workflow in ("one_wf", "two_wf"):
        for step in ("prepare", "locate", "segment"):
            progress(SimpleNamespace(fullname=f"legseg_wf.{workflow}.{step}"), "start")
            progress(SimpleNamespace(fullname=f"legseg_wf.{workflow}.{step}"), "end")
    progress(SimpleNamespace(fullname="legseg_wf.two_wf.merge"), "exception")
    progress(SimpleNamespace(fullname="legseg_wf.other_wf.merge"), "exception")
    return lines


def test_progress_names_the_image_its_number_and_the_step() -> None:
    lines = steps(0)
    assert len(lines) == 5
    assert lines[0].endswith("(1/2) sub-01_T1w: reading and preparing")
    assert lines[3].endswith("(2/2) sub-02_T1w: segmenting")
    assert lines[4].endswith("(2/2) sub-02_T1w: merging labels FAILED")


def test_verbose_progress_tells_every_step() -> None:
    assert any("locating" in line for line in steps(1))
    assert not any("locating" in line for line in steps(0))
