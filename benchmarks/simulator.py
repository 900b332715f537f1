#!/usr/bin/env python3
"""How fast stacks are simulated, and how fast a network learns from them.

    python benchmarks/simulator.py thigh --atlas ATLAS --cache CACHE
        [--devices cpu cuda] [--workers 0 1 2] [--extent small] [--network] [--against CODE]

In one run, taking turns so that whatever else the machine does touches all alike: batches made
on each device, batches made ahead by processes, with ``--network`` the steps of the recipe's
network from a batch that is there already, and with ``--against`` the simulator of another copy
of the code. The network waits where its batches per second are more than those that are made.
Ratios are to the first row.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from legseg_bids.synth.ranges import Ranges
from legseg_bids.train.ahead import Ahead, Supply
from legseg_bids.train.batches import GROW_AT
from legseg_bids.train.loop import new_state, train_step
from legseg_bids.train.recipe import load_recipe
from legseg_bids.train.subjects import anatomies_of, composites_of

#: Seeds that no training and no validation uses.
FIRST_SEED = 1_700_000_000
#: Batches of each kind that are not measured.
WARM_UP = 6
SHARES = {"small": 0.0, "large": GROW_AT}

#: Makes the batch of a number.
Make = Callable[[int], object]
#: What the other copy of the code runs: a batch for every line it reads, answered by its seconds.
OTHER = """
import sys, time
import torch
from pathlib import Path
torch.set_num_threads({threads})
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train.loop import make_batch
from legseg_bids.train.recipe import load_recipe
from legseg_bids.train.subjects import anatomies_of, composites_of
recipe, atlas, cache = load_recipe({recipe!r}), Path({atlas!r}), Path({cache!r})
maps = anatomies_of(recipe, atlas, cache)
own = composites_of(recipe, maps, atlas, cache)
print("ready", flush=True)
for line in sys.stdin:
    begun = time.perf_counter(), time.process_time()
    make_batch(recipe, maps, int(line), Ranges(), {share}, own)
    print(time.perf_counter() - begun[0], time.process_time() - begun[1], flush=True)
"""


def supply_of(name: str, atlas: Path, cache: Path) -> Supply:
    """What the batches of a recipe are made of, as in its training."""
    recipe = load_recipe(name)
    maps = anatomies_of(recipe, atlas, cache)
    return Supply(recipe, maps, Ranges(), composites_of(recipe, maps, atlas, cache))


def here(supply: Supply, share: float, device: str) -> Make:
    """Batches made in this process, when they are asked for."""

    def make(number: int) -> None:
        supply.make((FIRST_SEED + number, share), device)
        _finish(device)

    return make


def steps(supply: Supply, share: float, device: str) -> Make:
    """Steps of the network; simulates nothing."""
    state = new_state(supply.recipe, device)
    batch = supply.make((FIRST_SEED, share), device)

    def step(_: int) -> None:
        train_step(supply.recipe, state, batch, 0.1, device)
        _finish(device)

    return step


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


@contextmanager
def elsewhere(code: Path, script: str) -> Iterator[Make]:
    """Batches made by another copy of the code, in a process of its own."""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(code)},
        cwd=code,
        text=True,
    ) as process:
        asks, answers = process.stdin, process.stdout
        assert asks is not None
        assert answers is not None
        answers.readline()

        def make(number: int) -> float:
            print(FIRST_SEED + number, file=asks, flush=True)
            return float(answers.readline().split()[1])

        yield make


def turns(ways: dict[str, Make], rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds and CPU seconds of every batch: each way makes one, in turn."""
    out: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    for number in range(-WARM_UP, 0):  # reads the maps from the disk, or puts them onto the device
        for make in ways.values():
            make(number)
    for number in range(rounds):
        for name, make in ways.items():
            begun = time.perf_counter(), time.process_time()
            told = make(number)
            used = time.process_time() - begun[1]
            out[name][0].append(time.perf_counter() - begun[0])
            out[name][1].append(told if isinstance(told, float) else used)
    return out


def streams(supply: Supply, share: float, workers: list[int], count: int) -> dict[str, float]:
    """Batches per second that arrive from so many processes, once they have begun."""
    out = {}
    for processes in workers:
        with closing(Ahead(supply, processes)) as ahead:
            first = 3 * processes  # those that were made ahead while the first was waited for
            for number in range(first):
                ahead.batch(FIRST_SEED + number, share)
            begun = time.perf_counter()
            for number in range(first, first + count):
                ahead.batch(FIRST_SEED + number, share)
            out[f"{processes} processes"] = count / (time.perf_counter() - begun)
    return out


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("--atlas", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--devices", nargs="+", default=["cpu"])
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--extent", choices=SHARES, default="small")
    parser.add_argument("--rounds", type=int, default=20, help="batches of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--network", action="store_true", help="steps of the network, too")
    parser.add_argument("--against", type=Path, help="another copy of the code")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    supply, share = supply_of(args.recipe, args.atlas, args.cache), SHARES[args.extent]
    with ExitStack() as stack:
        ways = {f"made, {device}": here(supply, share, device) for device in args.devices}
        if args.against:
            facts = {"recipe": args.recipe, "atlas": str(args.atlas), "cache": str(args.cache)}
            script = OTHER.format(threads=args.threads, share=share, **facts)
            other = elsewhere(args.against.resolve(), script)
            ways[f"made, {args.against}"] = stack.enter_context(other)
        if args.network:
            ways |= {f"learnt, {device}": steps(supply, share, device) for device in args.devices}
        found = turns(ways, args.rounds)
    cores = len(os.sched_getaffinity(0))
    print(f"{args.recipe}, {args.extent} stacks, {supply.recipe.batch} a batch")
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}, {args.threads} threads")
    print("| batches | a second | CPU s each | ratio of CPU | ratio, batch by batch |")
    print("|---|---|---|---|---|")
    (first, first_cpu), *_ = found.values()
    for name, (seconds, cpu) in found.items():
        ratio = median(a / b for a, b in zip(seconds, first, strict=True))
        print(
            f"| {name} | {len(seconds) / sum(seconds):.2f} | {sum(cpu) / len(cpu):.3f} "
            f"| {sum(cpu) / sum(first_cpu):.2f} | {ratio:.2f} |"
        )
    ahead = streams(supply, share, [n for n in args.workers if n], args.rounds)
    for name, rate in ahead.items():
        print(f"| {name} | {rate:.2f} | | | {len(first) / sum(first) / rate:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
