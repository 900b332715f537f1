from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest
from nipype.interfaces.utility import Function
from nipype.pipeline.engine import Node, Workflow

from legseg_bids.workflows.causes import crash_reason
from legseg_bids.workflows.multiproc import ResilientMultiProc
from legseg_bids.workflows.nipype_settings import configure_nipype
from legseg_bids.workflows.outcomes import find_crash

ARGUMENTS = {"n_procs": 1, "memory_gb": 4.0, "mp_context": "forkserver", "verbosity": 0}


def step(name: str, what: str, folder: Path) -> Node:
    """A node that writes a file, fails, or dies as the kernel lets it when memory is short."""

    def work(what, folder, name, after=None):  # type: ignore[no-untyped-def]
        import os
        import signal
        from pathlib import Path

        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail":
            raise ValueError("no luck")
        Path(folder, name).write_text("done")
        return 1

    function = Function(
        input_names=["what", "folder", "name", "after"], output_names=["after"], function=work
    )
    node = Node(function, name=name)
    node.inputs.trait_set(what=what, folder=str(folder), name=name)
    return node


def run(tmp_path: Path, first: dict[str, str]) -> list[str]:
    """Run two-step graphs, one for each name; the files that they left."""
    configure_nipype()
    workflow = Workflow(name="all_wf", base_dir=str(tmp_path / "work"))
    workflow.config = {"execution": {"crashdump_dir": str(tmp_path / "crashes")}}
    for name, what in first.items():
        inner = Workflow(name=f"{name}_wf")
        one, two = step(f"{name}1", what, tmp_path), step(f"{name}2", "write", tmp_path)
        inner.connect(one, "after", two, "after")
        workflow.add_nodes([inner])
    trouble = set(first.values()) != {"write"}
    with pytest.raises(RuntimeError) if trouble else nullcontext():
        workflow.run(plugin=ResilientMultiProc(dict(ARGUMENTS)))
    return sorted(path.name for path in tmp_path.iterdir() if path.is_file())


def test_everything_runs(tmp_path: Path) -> None:
    assert run(tmp_path, {"a": "write", "b": "write"}) == ["a1", "a2", "b1", "b2"]


def test_one_failure_leaves_the_others(tmp_path: Path) -> None:
    assert run(tmp_path, {"a": "fail", "b": "write"}) == ["b1", "b2"]
    crash = find_crash(tmp_path / "crashes", "a_wf")
    assert crash is not None
    assert crash_reason(crash.read_text()) == "ValueError: no luck"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL") or os.name != "posix", reason="needs SIGKILL")
def test_a_killed_worker_neither_hangs_the_run_nor_takes_the_others_with_it(
    tmp_path: Path,
) -> None:
    assert run(tmp_path, {"a": "die", "b": "write", "c": "write"}) == ["b1", "b2", "c1", "c2"]
    crash = find_crash(tmp_path / "crashes", "a_wf")
    assert crash is not None
    assert "was killed" in crash_reason(crash.read_text())
