from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train.ahead import Ahead, Supply, _as_tensor
from legseg_bids.train.batches import GROW_AT, make_batch
from legseg_bids.train.loop import train
from legseg_bids.train.recipe import Recipe, load_recipe

#: Shares of the time at which batches are asked for: the stacks grow on the way.
SHARES = (0.1, 0.2, GROW_AT, 0.9)


@pytest.fixture
def plain() -> Recipe:
    """The thigh's recipe with one stack a batch, of the sizes that every process knows."""
    return replace(load_recipe("thigh"), batch=1, channels=(0, 55, 59, 31, 35, 103, 151))


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(
        torch.equal(x, y) and x.dtype == y.dtype and x.is_contiguous()
        for x, y in zip(a, b, strict=True)
    )


def test_processes_make_the_same_batches_in_the_same_order(
    anatomy: Anatomy, plain: Recipe
) -> None:
    torch.set_num_threads(1)
    ahead = Ahead(Supply(plain, [anatomy], Ranges()), 2)
    try:
        for seed, share in enumerate(SHARES, start=70):
            expected = make_batch(plain, [anatomy], seed, Ranges(), share)
            assert same(ahead.batch(seed, share), expected), seed
        assert same(ahead.batch(5, 0.1), make_batch(plain, [anatomy], 5, Ranges(), 0.1))
        assert 1 <= len(multiprocessing.active_children()) <= 2
    finally:
        ahead.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("kind", ["thigh", "locator"])
def test_batches_survive_the_way_between_processes(anatomy: Anatomy, kind: str, request) -> None:
    recipe = request.getfixturevalue(kind)
    order, parts = Supply(recipe, [anatomy], Ranges())[7, 0.1]
    assert order == (7, 0.1)
    found = [_as_tensor(part) for part in parts]
    assert same(found, make_batch(recipe, [anatomy], 7, Ranges(), 0.1))


def test_an_error_in_a_process_ends_the_training_with_its_message(
    anatomy: Anatomy, plain: Recipe
) -> None:
    ahead = Ahead(Supply(replace(plain, region="nowhere"), [anatomy], Ranges()), 1)
    try:
        with pytest.raises(KeyError, match="nowhere"):
            ahead.batch(0, 0.1)
    finally:
        ahead.close()
    assert not multiprocessing.active_children()


def test_a_training_with_processes_leaves_none_behind(
    anatomy: Anatomy, locator: Recipe, run_dir: Path
) -> None:
    options = {"validation_batches": 1, "report_every": 0.0, "say": lambda _: None}
    figures = train(locator, [anatomy], run_dir, 0.002, workers=1, **options)
    assert "part_accuracy" in figures
    assert not multiprocessing.active_children()


SCRIPT = """
import multiprocessing, signal, sys
from dataclasses import replace
from pathlib import Path
from legseg_bids.synth.atlas import load_anatomy
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train.ahead import Ahead, Supply
from legseg_bids.train.recipe import load_recipe

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
    atlas, cache = map(Path, sys.argv[1:])
    recipe = replace(load_recipe("locator"), batch=1, size=32, pixel_mm=12.0)
    ahead = Ahead(Supply(recipe, [load_anatomy(atlas, "vhm", cache)], Ranges()), 1)
    ahead.batch(0, 0.1)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    seed = 1
    while True:
        ahead.batch(seed, 0.1)
        seed += 1
"""


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is more than an entry that nobody has read."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return facts.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_training_that_is_killed(tmp_path: Path, end: int) -> None:
    from phantom import write_phantom

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, write_phantom(tmp_path / "atlas"), tmp_path / "cache"]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
    ) as process:
        assert process.stdout is not None
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert children
        process.send_signal(end)
        try:
            process.wait(60)
        finally:
            process.kill()
    until = time.monotonic() + 60
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < until, "a process outlived the training"
        time.sleep(0.2)
