from __future__ import annotations

import os
from pathlib import Path

import pytest
from cluster import program
from nipype import Node, Workflow
from nipype.interfaces.utility import Merge

from legseg_bids.errors import UsageError
from legseg_bids.workflows.plugin_file import read_plugin
from legseg_bids.workflows.slurm_graph import WaitingSLURMGraph, prepare_for_batch

FILE = Path(__file__).parents[2] / "hpc" / "nipype_slurmgraph.yml"
# Each job is in the queue for three looks; everything that is called is written down.
SBATCH = """
mark = next(word for word in sys.argv if word.startswith("--comment=")).partition("=")[2]
open(os.environ["CALLS"], "a").write(" ".join(sys.argv[1:]) + "\\n")
number = len(open(os.environ["CALLS"]).readlines())
open(os.environ["QUEUE"], "a").write(f"{number} {mark}\\n" * 3)
print(f"Submitted batch job {number}")
"""
SQUEUE = """
if os.path.exists(os.environ["QUEUE"] + ".busy"):
    os.remove(os.environ["QUEUE"] + ".busy")
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
lines = open(os.environ["QUEUE"]).readlines()
open(os.environ["QUEUE"], "w").writelines(lines[1:])
print("999 somebody else's job\\n998\\n" + "".join(lines))
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program(tmp_path / "bin/sbatch", SBATCH)
    program(tmp_path / "bin/squeue", SQUEUE)
    program(tmp_path / "bin/scancel", f"open({str(tmp_path / 'cancelled')!r}, 'w')"
            ".write(' '.join(sys.argv[1:]))")  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("QUEUE", str(tmp_path / "queue"))
    (tmp_path / "queue").touch()
    return tmp_path


def workflow(folder: Path) -> Workflow:
    out = Workflow(name="two", base_dir=str(folder / "work"))
    first, second = (Node(Merge(1), name=name) for name in ("first", "second"))
    first.inputs.in1 = 1
    out.connect(first, "out", second, "in1")
    return out


def plugin(**more: object) -> WaitingSLURMGraph:
    return WaitingSLURMGraph({"poll_sleep_duration": 0.01, "status_callback": print, **more})


def test_it_waits_for_its_jobs(slurm: Path) -> None:
    workflow(slurm).run(plugin=plugin(sbatch_args="--mem=3G"))
    calls = (slurm / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("--kill-on-invalid-dep=yes" in call and "--mem=3G" in call for call in calls)
    assert (slurm / "queue").read_text() == ""
    assert not (slurm / "cancelled").exists()


def test_a_controller_that_does_not_answer_is_asked_again(slurm: Path) -> None:
    (slurm / "queue.busy").touch()
    workflow(slurm).run(plugin=plugin())
    assert (slurm / "queue").read_text() == ""


def test_interrupted_it_cancels_its_jobs(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("legseg_bids.workflows.slurm_graph.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow(slurm).run(plugin=plugin())
    assert set((slurm / "cancelled").read_text().split()) == {"1", "2"}


def test_the_file_that_comes_with_the_package() -> None:
    found = read_plugin(FILE)
    assert found.name == "SLURMGraph"
    assert found.is_remote
    assert found.args["template"].startswith("#!/bin/bash\n")
    assert "--kill-on-invalid-dep=yes" in found.args["sbatch_args"]
    assert "\n" not in found.args["sbatch_args"].strip()
    WaitingSLURMGraph(found.args)


def test_a_work_folder_that_nodes_can_see_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="give it with -w"):
        prepare_for_batch("SLURM", None)
    with pytest.raises(UsageError, match="does not quote"):
        prepare_for_batch("SLURM", Path("/shared/my work"))
    monkeypatch.delenv("LOGNAME", raising=False)
    prepare_for_batch("SLURM", Path("/shared/work-1_a"))
    assert os.environ["LOGNAME"]
