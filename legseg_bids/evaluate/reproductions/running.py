"""One experiment from beginning to end; what an earlier run did is not done again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.write import replacing, write_json
from legseg_bids.errors import UsageError
from legseg_bids.evaluate.reproductions.answering import Trained, answers, train_arm
from legseg_bids.evaluate.reproductions.bank import FAT, Bank, Plan, open_bank
from legseg_bids.evaluate.reproductions.batches import Source
from legseg_bids.evaluate.reproductions.experiments import Arm, Experiment
from legseg_bids.evaluate.reproductions.judging import Result, Score, from_json, judge, to_json
from legseg_bids.evaluate.reproductions.structures import parts, structure_set
from legseg_bids.synth.atlas import Anatomy

#: Splits of the bank that arms are tested on, and what they are.
TESTS = {"known": "new people, known anatomy", "new": "new anatomy"}
#: The same, with the people that the networks of the package are tried on.
ALL_TESTS = {**TESTS, "trials": "trials of the package's networks"}
#: Steps that are timed before a budget is divided.
TIMED_STEPS = 6
#: A training has at least so many steps.
FEWEST_STEPS = 4
#: A bank for trying out: seconds instead of a minute.
QUICK = Plan(people={"train": 6, "known": 3, "new": 3}, slices=2, size=32, pixel=6.0)


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes
    ----------
    atlas, cache, out : Path
        Folders of the label maps, of what is prepared from them, and of the results.
    minutes : float, optional
        Time for all trainings together, from which the number of steps follows.
    steps : int, optional
        Steps of each training; without it and without ``minutes``, the experiment's own number.
    seeds : int, optional
        Trainings of each arm; the experiment's own number by default.
    quick : bool
        Only to see that it works.
    models : Path, optional
        Folder of the package's networks.
    page : Path, optional
        Page of the documentation that receives the tables.
    plan : Plan
        The simulated people, unless ``quick``.
    """

    atlas: Path
    cache: Path
    out: Path
    minutes: float | None = None
    steps: int | None = None
    seeds: int | None = None
    quick: bool = False
    models: Path | None = None
    page: Path | None = None
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True, eq=False)
class Run:
    """An experiment that is going on."""

    experiment: Experiment
    bank: Bank
    folder: Path
    steps: int
    seeds: int
    order: Order
    anatomies: Callable[[str], Anatomy]
    say: Callable[[str], object] = print

    def path(self, arm: str, seed: int) -> Path:
        """Where the result of a training is."""
        return self.folder / "trainings" / f"{arm}-{seed}.json"

    def todo(self) -> list[tuple[Arm, int]]:
        """Trainings in their order: all arms with one seed, then with the next."""
        return [
            (arm, seed)
            for seed in range(self.seeds)
            for arm in self.experiment.arms
            if seed == 0 or arm.kind != "shipped"
        ]


def map_loader(order: Order) -> Callable[[str], Anatomy]:
    """What prepares a label map, or takes it from the cache."""
    from legseg_bids.synth.atlas import load_anatomy

    return lambda name: load_anatomy(order.atlas, name, order.cache)


def begin(experiment: Experiment, order: Order, say: Callable[[str], object] = print) -> Run:
    """Simulate what is missing, and decide on the number of steps.

    Raises
    ------
    UsageError
        If the folder holds results of other people or slices.
    LegsegError
        If a label map is missing, or nothing can be written.
    """
    plan = QUICK if order.quick else order.plan
    anatomies = map_loader(order)
    for name in plan.anatomies:
        anatomies(name)
    bank = open_bank(order.cache / _folder_name(plan), plan, anatomies, say)
    folder = order.out / experiment.name
    seeds = order.seeds or (1 if order.quick else experiment.seeds)
    steps = _steps(experiment, order, bank, folder, seeds, say)
    return Run(experiment, bank, folder, steps, seeds, order, anatomies, say)


def _folder_name(plan: Plan) -> str:
    people = "-".join(str(n) for n in plan.people.values())
    return f"slices-{people}-{plan.slices}x{plan.size}"


def _steps(
    experiment: Experiment,
    order: Order,
    bank: Bank,
    folder: Path,
    seeds: int,
    say: Callable[[str], object],
) -> int:
    """Steps of each training: those of the run that goes on, or as many as there is time for."""
    path = folder / "plan.json"
    facts = bank.plan.facts()
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
            steps, same = int(old["steps"]), old["slices"] == facts
        except (OSError, ValueError, KeyError, TypeError):
            steps, same = 0, False
        if not same:
            msg = (
                f"{folder} holds results of other simulated people; expected those of this "
                "command; choose another --out, or remove that folder"
            )
            raise UsageError(msg)
        say(f"{experiment.name}: going on with {steps} steps a training")
        return steps
    steps = order.steps or (FEWEST_STEPS if order.quick else experiment.steps)
    if order.minutes is not None and order.steps is None and not order.quick:
        steps = affordable_steps(experiment, bank, order.minutes, seeds)
    write_json(path, {"experiment": experiment.name, "steps": steps, "slices": facts})
    say(f"{experiment.name}: {steps} steps a training, {seeds} of each arm")
    return steps


def affordable_steps(experiment: Experiment, bank: Bank, minutes: float, seeds: int) -> int:
    """Steps of every training so that all of them together take so many minutes.

    Each arm is timed over a few steps, then over the answers to all test slices.
    """
    each, fixed = 0.0, 0.0
    for arm in experiment.arms:
        if arm.kind == "shipped":
            continue
        # Two lengths: what building and the first steps cost beyond a step is not multiplied.
        started = time.monotonic()
        train_arm(experiment, arm, bank, TIMED_STEPS * 2, 0)
        middle = time.monotonic()
        trained = train_arm(experiment, arm, bank, TIMED_STEPS * 6, 0)
        each += (time.monotonic() - middle - (middle - started)) / (TIMED_STEPS * 4)
        middle = time.monotonic()
        few = bank.rows("known", experiment.regions, 3)
        _scores(experiment, trained, bank, few)
        fixed += (time.monotonic() - middle) * len(_test_rows(experiment, bank)) / len(few)
    steps = (60 * minutes / seeds - fixed) / max(each, 1e-6)
    return int(min(max(steps, FEWEST_STEPS), experiment.steps))


def _test_rows(experiment: Experiment, bank: Bank) -> NDArray[Any]:
    return np.concatenate([bank.rows(test, experiment.regions) for test in TESTS])


def perform(run: Run) -> list[Result]:
    """All trainings that are not there yet; every result is written as it comes."""
    todo = run.todo()
    there = [(a, s) for a, s in todo if read_result(run.path(a.name, s)) is not None]
    left = [pair for pair in todo if pair not in there]
    if there:
        run.say(f"{len(there)} of {len(todo)} trainings are there already")
    started = time.monotonic()
    for number, (arm, seed) in enumerate(left):
        result = train_and_judge(run, arm, seed)
        write_json(run.path(arm.name, seed), to_json(result))
        spent = time.monotonic() - started
        remaining = spent / (number + 1) * (len(left) - number - 1)
        run.say(
            f"[{len(there) + number + 1}/{len(todo)}] {arm.name}, seed {seed}: "
            f"{_brief(run, result)}; about {remaining / 60:.0f} min left"
        )
    return results_of(run)


def results_of(run: Run) -> list[Result]:
    """All results that are there, in the order of the trainings."""
    found = [read_result(run.path(arm.name, seed)) for arm, seed in run.todo()]
    return [result for result in found if result is not None]


def read_result(path: Path) -> Result | None:
    """A result, or None if it is not there or damaged."""
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _brief(run: Run, result: Result) -> str:
    groups = parts(structure_set(run.experiment.structures))
    means = []
    for part in groups:
        values = [s.dice for s in result.scores if s.part == part and s.test != "new"]
        means.append(f"{part} {np.mean(values) if values else float('nan'):.3f}")
    return f"{result.facts['seconds']:.0f} s, Dice {', '.join(means)}"


def train_and_judge(run: Run, arm: Arm, seed: int) -> Result:
    """One training of one arm, tested."""
    experiment, bank = run.experiment, run.bank
    started = time.monotonic()
    if arm.kind == "shipped":
        return _shipped(run, arm)
    trained = train_arm(experiment, arm, bank, run.steps, seed)
    seconds = time.monotonic() - started
    scores = _scores(experiment, trained, bank, _test_rows(experiment, bank))
    if seed == 0:
        _keep_pictures(run, arm, trained)
    facts = {
        "steps": run.steps,
        "seconds": round(seconds, 2),
        "parameters": trained.parameters,
        "loss": round(trained.loss, 5),
    }
    return Result(arm.name, seed, facts, tuple(scores))


def _shipped(run: Run, arm: Arm) -> Result:
    from legseg_bids.evaluate.reproductions.shipped import shipped_scores

    started = time.monotonic()
    plan = run.bank.plan
    scores = shipped_scores(
        structure_set(run.experiment.structures),
        plan.people["known"],
        run.anatomies,
        plan.anatomies,
        run.order.models,
    )
    facts = {"steps": 0, "seconds": round(time.monotonic() - started, 2), "parameters": 0}
    return Result(arm.name, 0, facts, tuple(scores))


def _scores(
    experiment: Experiment, trained: Trained, bank: Bank, rows: NDArray[Any]
) -> list[Score]:
    """Scores of the people whom these rows show."""
    source = source_of(experiment, bank, rows)
    found = answers(trained, source, rows)
    truth = source.read(rows).labels.numpy()
    splits, fats = list(bank.plan.people), list(FAT)
    scores = []
    who = np.stack([bank.split[rows].astype(int), bank.person[rows].astype(int)], axis=1)
    for split, person in np.unique(who, axis=0):
        mine = (who == (split, person)).all(1)
        fat = fats[int(bank.fat[rows[mine][0]])]
        for structure, value in judge(found[mine], truth[mine], source.structures):
            scores.append(
                Score(splits[split], int(person), fat, structure.part, structure.name, value)
            )
    return scores


def source_of(experiment: Experiment, bank: Bank, rows: NDArray[Any]) -> Source:
    """Slices of the bank as an experiment sees them."""
    structures = structure_set(experiment.structures)
    return Source(bank, rows, structures, experiment.size, experiment.coarser)


def picture_rows(experiment: Experiment, bank: Bank) -> list[int]:
    """Slices to show: one of a healthy, a mildly and a severely ill person of each test."""
    chosen = []
    for test in TESTS:
        for number, fat in enumerate(range(len(FAT))):
            region = experiment.regions[number % len(experiment.regions)]
            rows = bank.rows(test, [region])
            mine = rows[bank.fat[rows] == fat]
            if len(mine):
                chosen.append(int(mine[bank.plan.slices // 2]))
    return chosen


def _keep_pictures(run: Run, arm: Arm, trained: Trained) -> None:
    rows = np.array(picture_rows(run.experiment, run.bank))
    source = source_of(run.experiment, run.bank, rows)
    with replacing(run.folder / "trainings" / f"{arm.name}.npy") as file:
        np.save(file, answers(trained, source, rows))


def shortened(experiment: Experiment, arms: tuple[str, ...]) -> Experiment:
    """The experiment with some of its arms only."""
    return replace(experiment, arms=tuple(a for a in experiment.arms if a.name in arms))
