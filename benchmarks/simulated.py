#!/usr/bin/env python3
"""Accuracy on simulated people that no network was trained on: bands, curves, contrasts, trust.

    python benchmarks/simulated.py bands --atlas ATLAS --cache CACHE
    python benchmarks/simulated.py curves --atlas ATLAS --cache CACHE --people 8
    python benchmarks/simulated.py contrasts --atlas ATLAS --cache CACHE
    python benchmarks/simulated.py trust --atlas ATLAS --cache CACHE --people 100

``bands``     Dice, distance and volume error in five bands of difficulty
``curves``    Dice while one factor at a time gets worse
``contrasts`` which image to feed, by fat fraction
``trust``     Dice against the mean probability, and the table that predicts one from the other

Every row is also written to OUT/<what>-<network>.tsv. People of the thigh are those that its
recipe holds out; of the lower leg there are none but the two anatomies it was trained on, so
that its figures are of new shapes and scans of known people.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from legseg_bids.evaluate.answers import Hit, answer, hits, mean_dice
from legseg_bids.evaluate.trials import FIRST_SEED, Setting, Trial, simulate_trial
from legseg_bids.segment.engines import load_engine
from legseg_bids.segment.models import find_models_dir, load_model
from legseg_bids.synth.atlas import Anatomy, load_anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.register import with_people
from legseg_bids.train.recipe import Recipe, load_recipe

Row = dict[str, Any]
#: Healthy people.
WELL = replace(Ranges(), disease_probability=0.0, atrophy_probability=0.0)
#: No large turn of the limb, though it is drawn, so that all else stays as it is with one.
STILL: Mapping[str, Any] = {"large_rotation_probability": 1.0, "large_rotation": 0.0}


@dataclass(frozen=True)
class Case:
    """One kind of trial: a name for its rows, the scan, the person."""

    name: str
    setting: Setting = field(default_factory=Setting)
    ranges: Ranges = WELL


def ill(low: float, high: float, atrophy: float) -> Ranges:
    """Patients whose worst muscle has a fat fraction between two values."""
    return replace(
        Ranges(), disease_probability=1.0, diseased_fat=(low, high), atrophy_probability=atrophy
    )


BANDS = (
    Case("1 healthy, fine", Setting(1.0, 5.0, noise=0.01, shading=0.1)),
    Case("2 healthy, ordinary", Setting(1.25, 7.0, noise=0.02)),
    Case("3 mild fat", Setting(1.25, 8.0, noise=0.03), ill(0.1, 0.4, 0.3)),
    Case("4 moderate fat", Setting(1.5, 12.0, noise=0.04, shading=0.3), ill(0.4, 0.7, 0.6)),
    Case("5 severe fat", Setting(1.5, 18.0, noise=0.06, shading=0.4), ill(0.7, 0.95, 0.8)),
)
FACTORS: Mapping[str, tuple[float, ...]] = {
    "slice_distance": (3.0, 6.0, 12.0, 18.0, 24.0),
    "pixel": (0.7, 1.25, 2.0, 3.0),
    "noise": (0.01, 0.03, 0.06, 0.1),
    "shading": (0.0, 0.2, 0.4, 0.6),
    "coverage": (36.0, 72.0, 144.0, 216.0),
    "fat": (0.0, 0.3, 0.6, 0.9),
    "rotation": (0.0, 15.0, 30.0, 45.0),
}


def changed(factor: str, value: float) -> Case:
    """A healthy, ordinary trial but for one factor."""
    name = f"{factor} {value:g}"
    turned = replace(WELL, **STILL)
    if factor == "fat":
        return Case(name, Setting(), replace(ill(value, value, 0.0), **STILL))
    if factor == "rotation":
        return Case(name, Setting(), replace(turned, large_rotation=value))
    return Case(name, replace(Setting(), **{factor: value}), turned)


def mixed(seed: int) -> Case:
    """Anything from easy to beyond what was trained on."""
    draw = Draw(seed)
    setting = Setting(
        pixel=draw.uniform(0.9, 2.2),
        slice_distance=draw.log_uniform(4.0, 24.0),
        coverage=draw.uniform(60.0, 200.0),
        noise=draw.log_uniform(0.008, 0.08),
        shading=draw.uniform(0.05, 0.45),
    )
    worst = draw.uniform(0.0, 0.95)
    return Case("mixed", setting, WELL if draw.chance(0.25) else ill(worst, worst, 0.5))


class Bench:
    """A network and the people to try it on."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.recipe: Recipe = load_recipe(options.network)
        self.people = _people(self.recipe, options.atlas, options.cache)
        self.model = load_model(find_models_dir(options.models), options.network)
        self.engine = load_engine(self.model, threads=options.threads)

    def trial(self, case: Case, number: int) -> Trial:
        """Person ``number`` in a case; the same person in every case."""
        draw = Draw(FIRST_SEED + number)
        anatomy = self.people[draw.integer(0, len(self.people))]
        side = ("left", "right")[draw.integer(0, 2)]
        seed = FIRST_SEED + 1000 + number
        return simulate_trial(anatomy, side, self.recipe.region, case.setting, seed, case.ranges)

    def judged(self, trial: Trial, fed: str = "opposed", also: str | None = None) -> list[Hit]:
        """What the network makes of it, judged."""
        _, labels = answer(trial, self.model, self.engine, fed, also)
        return hits(trial, labels, self.model.segmentation.labels)


def _people(recipe: Recipe, atlas: Path, cache: Path) -> list[Anatomy]:
    maps: list[Anatomy] = [load_anatomy(atlas, name, cache) for name in recipe.anatomies]
    folder = atlas / recipe.people if recipe.people else None
    maps = with_people(maps, folder, cache, lambda _: None, recipe.region)
    if not recipe.held_out:
        return maps
    return [one.of_people(recipe.held_out, only=True) for one in maps]


def cases_of(what: str) -> tuple[Case, ...]:
    """The cases of ``bands`` or ``curves``."""
    if what == "bands":
        return BANDS
    return tuple(changed(factor, value) for factor, values in FACTORS.items() for value in values)


def rows_of(bench: Bench, cases: Sequence[Case], people: int, also: str | None) -> Iterator[Row]:
    """One row for each muscle of each person in each case."""
    for case in cases:
        for number in range(people):
            trial = bench.trial(case, number)
            for hit in bench.judged(trial, also=also):
                yield {"case": case.name, "person": number, "fat": trial.fat_fraction} | vars(hit)


def contrast_rows(bench: Bench, people: int) -> Iterator[Row]:
    """Dice of one person with each contrast fed, and as the application feeds them."""
    ways = {
        "opposed": ("opposed", None),
        "in_phase": ("in_phase", None),
        "water": ("water", None),
        "applied": ("opposed", "in_phase"),
    }
    for number in range(people):
        trial = bench.trial(mixed(FIRST_SEED + 5000 + number), number)
        row: Row = {"person": number, "fat": trial.fat_fraction}
        yield row | {name: mean_dice(bench.judged(trial, *way)) for name, way in ways.items()}


def trust_rows(bench: Bench, people: int) -> Iterator[Row]:
    """One row for each muscle of mixed people, as the application feeds half of them."""
    for number in range(people):
        trial = bench.trial(mixed(FIRST_SEED + 9000 + number), number)
        for hit in bench.judged(trial, also="in_phase" if number % 2 else None):
            yield {"person": number, "fat": trial.fat_fraction} | vars(hit)


def tell_cases(rows: Sequence[Row]) -> None:
    """Means of the muscles that are there, for each case."""
    print(f"{'case':24} {'n':>4} {'Dice':>6} {'worst':>6} {'HD95 mm':>8} {'|dV|':>6} {'fat':>5}")
    for case in dict.fromkeys(row["case"] for row in rows):
        mine = [r for r in rows if r["case"] == case and Hit(**_hit(r)).is_there]
        dice = np.array([r["dice"] for r in mine])
        worst = min(np.mean([r["dice"] for r in mine if r["label"] == k]) for k in _labels(mine))
        away = np.nanmedian([r["distance"] for r in mine])
        change = np.median([abs(r["found"] / r["volume"] - 1) for r in mine])
        fat = np.mean([r["fat"] for r in mine])
        print(
            f"{case:24} {len(mine):4d} {dice.mean():6.3f} {worst:6.3f} {away:8.1f} "
            f"{change:6.0%} {fat:5.2f}"
        )


def _labels(rows: Sequence[Row]) -> set[int]:
    return {row["label"] for row in rows}


def _hit(row: Row) -> Row:
    return {key: row[key] for key in Hit.__dataclass_fields__}


def tell_contrasts(rows: Sequence[Row]) -> None:
    """Mean Dice by the mean fat fraction of the muscles."""
    names = [key for key in rows[0] if key not in ("person", "fat")]
    print(f"{'fat fraction':14} {'n':>4} " + " ".join(f"{name:>9}" for name in names))
    for low, high in ((0.0, 0.15), (0.15, 0.3), (0.3, 0.45), (0.45, 1.0), (0.0, 1.0)):
        mine = [r for r in rows if low <= r["fat"] < high and np.isfinite(r["opposed"])]
        if mine:
            means = " ".join(f"{np.mean([r[name] for r in mine]):9.3f}" for name in names)
            print(f"{low:4.2f} to {high:4.2f}   {len(mine):4d} {means}")


def tell_trust(rows: Sequence[Row]) -> None:
    """Rank correlation, and the mean Dice at each level of the mean probability."""
    from scipy.optimize import isotonic_regression
    from scipy.stats import spearmanr

    found = [r for r in rows if np.isfinite(r["confidence"])]
    sure, dice = (np.array([r[key] for r in found]) for key in ("confidence", "dice"))
    print(f"{len(found)} muscles, Spearman {spearmanr(sure, dice).statistic:.3f}")
    order = np.argsort(sure)
    smooth = np.asarray(isotonic_regression(dice[order]).x)
    print("confidence\tdice")
    for level in np.arange(0.4, 1.0, 0.05):
        near = np.abs(sure[order] - level) < 0.025
        if near.sum() >= 10:
            print(f"{level:.2f}\t{smooth[near].mean():.3f}")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    out.add_argument("what", choices=("bands", "curves", "contrasts", "trust"))
    out.add_argument("--network", choices=("thigh", "lower_leg"), default="thigh")
    out.add_argument("--atlas", type=Path, required=True, help="folder with the label maps")
    out.add_argument("--cache", type=Path, required=True, help="folder for the prepared maps")
    out.add_argument("--models", type=Path, help="folder of the model bundles")
    out.add_argument("--people", type=int, default=6)
    out.add_argument("--both", action="store_true", help="feed the in-phase image as well")
    out.add_argument("--threads", type=int, default=1)
    out.add_argument("--out", type=Path, default=Path(), help="folder for the table")
    return out


def main() -> int:
    """Simulate, segment, write the table as it grows, and tell the means."""
    options = parser().parse_args()
    import torch

    torch.set_num_threads(options.threads)
    bench = Bench(options)
    if options.what == "contrasts":
        source, tell = contrast_rows(bench, options.people), tell_contrasts
    elif options.what == "trust":
        source, tell = trust_rows(bench, options.people), tell_trust
    else:
        also = "in_phase" if options.both else None
        source = rows_of(bench, cases_of(options.what), options.people, also)
        tell = tell_cases
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with (options.out / f"{options.what}-{options.network}.tsv").open("w", newline="") as file:
        for row in source:
            if not rows:
                writer = csv.DictWriter(file, list(row), delimiter="\t")
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            rows.append(row)
    tell(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
