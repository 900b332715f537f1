"""Tables of an experiment: TSV to compute with, Markdown to read."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, fields
from itertools import product
from pathlib import Path

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.bids.write import write_text
from legseg_bids.errors import UsageError
from legseg_bids.evaluate.reproductions.bank import FAT
from legseg_bids.evaluate.reproductions.comparing import Row, friedman, rows_of
from legseg_bids.evaluate.reproductions.experiments import Experiment
from legseg_bids.evaluate.reproductions.judging import ALL, Result
from legseg_bids.evaluate.reproductions.running import ALL_TESTS, TESTS, Run
from legseg_bids.evaluate.reproductions.structures import parts, structure_set
from legseg_bids.evaluate.wording import p_equal, p_text

#: Columns of ``results.tsv``.
COLUMNS = tuple(f.name for f in fields(Row))
#: Columns of ``people.tsv``.
PEOPLE_COLUMNS = ("arm", "seed", "test", "person", "fat", "part", "structure", "dice")
#: Marks in a page of the documentation between which the tables stand.
MARKS = ("<!-- results -->", "<!-- end of results -->")


def all_rows(experiment: Experiment, results: Sequence[Result]) -> list[Row]:
    """All rows of ``results.tsv``: each test, group of structures and degree of fat."""
    arms = [arm.name for arm in experiment.arms]
    return [
        row
        for test in ALL_TESTS
        for part in parts(structure_set(experiment.structures))
        for fat in (ALL, *FAT)
        for row in rows_of(results, arms, experiment.reference, test, part, fat)
    ]


def number(value: float, digits: int = 4) -> str:
    """A number as TSV has it; ``n/a`` where there is none.

    Examples
    --------
    >>> number(0.123456), number(float("nan")), number(3)
    ('0.1235', 'n/a', '3')
    """
    if isinstance(value, int):
        return str(value)
    return NOT_AVAILABLE if math.isnan(value) else f"{value:.{digits}f}"


def tsv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Tab-separated text."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([number(v) if isinstance(v, float) else v for v in row])
    return out.getvalue()


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; the first column is text, the others are numbers.

    Examples
    --------
    >>> print(markdown(["arm", "Dice"], [["U-Net", "0.80"]]), end="")
    | arm | Dice |
    |---|---:|
    | U-Net | 0.80 |
    """
    lines = [list(header), *[list(r) for r in rows]]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|---" + "|---:" * (len(header) - 1) + "|", *text[1:]]) + "\n"


def plus_minus(mean: float, spread: float) -> str:
    """Mean and standard deviation.

    Examples
    --------
    >>> plus_minus(0.8123, 0.05), plus_minus(0.8123, float("nan"))
    ('0.812 ± 0.050', '0.812')
    """
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def setting_table(run: Run, results: Sequence[Result]) -> str:
    """How it was done."""
    e, plan = run.experiment, run.bank.plan
    slices = len(run.bank.rows("train", e.regions, e.people))
    seeds = max((len({r.seed for r in results if r.arm == a.name}) for a in e.arms), default=0)
    seconds = sum(r.facts["seconds"] for r in results)
    people = min(e.people, plan.people["train"])
    side, pixel = e.size // e.coarser, plan.pixel * e.coarser
    first, second = plan.anatomies
    shown = ", ".join(e.regions)
    rows = [
        ["training", f"{people} people of {first}, {slices} slices ({shown})"],
        [f"test, {TESTS['known']}", f"{plan.people['known']} people of {first}"],
        [f"test, {TESTS['new']}", f"{plan.people['new']} people of {second}"],
        ["slices", f"{side} × {side} pixels of {pixel:g} mm, one limb, T1-weighted"],
        ["steps of a training", f"{run.steps} of {e.batch} slices (full setting: {e.steps})"],
        ["trainings of each arm", f"{seeds} (full setting: {e.seeds})"],
        ["optimiser", f"AdamW, one cycle, highest learning rate {e.rate:g}"],
        ["time of all trainings", f"{seconds / 60:.0f} min"],
    ]
    return markdown(["set-up", ""], rows).replace("|---:|", "|---|")


def arms_table(run: Run, results: Sequence[Result]) -> str:
    """The arms: size and time."""
    rows = []
    for arm in run.experiment.arms:
        mine = [r.facts for r in results if r.arm == arm.name]
        if not mine:
            continue
        million = mine[0]["parameters"] / 1e6
        seconds = sum(f["seconds"] for f in mine) / len(mine)
        loss = arm.loss.replace("masked_cross_entropy", "masked CE").replace("|", "/")
        trained = arm.kind != "shipped"
        rows.append(
            [
                arm.title,
                f"{million:.2f}" if trained else "",
                loss if trained else "",
                f"{seconds:.0f}",
            ]
        )
    return markdown(["arm", "parameters, million", "loss", "s a training"], rows)


def dice_table(experiment: Experiment, results: Sequence[Result], test: str, fat: str) -> str:
    """Mean Dice and tests of one group of test people, all groups of structures side by side."""
    arms = [arm.name for arm in experiment.arms]
    groups = parts(structure_set(experiment.structures))
    found = {
        part: rows_of(results, arms, experiment.reference, test, part, fat) for part in groups
    }
    columns = ("Dice", "SD of seeds", "difference (p)")
    header = ["arm", *(f"{part}: {column}" for part in groups for column in columns)]
    rows = []
    for arm in experiment.arms:
        mine = [_row_of(found[part], arm.name) for part in groups]
        if not any(mine):
            continue
        cells = [arm.title + (" (reference)" if arm.name == experiment.reference else "")]
        for row in mine:
            cells += _cells(row)
        rows.append(cells)
    return markdown(header, rows)


def _row_of(rows: Sequence[Row], arm: str) -> Row | None:
    return next((row for row in rows if row.arm == arm), None)


def _cells(row: Row | None) -> list[str]:
    if row is None:
        return ["", "", ""]
    spread = "" if math.isnan(row.sd_seeds) else f"{row.sd_seeds:.3f}"
    p = f" ({p_text(row.p)})" if math.isfinite(row.p) else ""
    change = f"{row.difference:+.3f}{p}" if math.isfinite(row.difference) else ""
    return [plus_minus(row.dice, row.sd_people), spread, change]


def structure_table(experiment: Experiment, results: Sequence[Result], test: str) -> str:
    """Mean Dice of each structure in each arm; of the package's networks, in their trials."""
    arms = [a for a in experiment.arms if any(r.arm == a.name for r in results)]
    rows = []
    for structure in structure_set(experiment.structures):
        cells = []
        for arm in arms:
            values = [
                s.dice
                for r in results
                if r.arm == arm.name
                for s in r.scores
                if s.test in (test, "trials")
                and (s.part, s.structure) == (structure.part, structure.name)
            ]
            cells.append(f"{sum(values) / len(values):.2f}" if values else "")
        rows.append([f"{structure.name} ({structure.part})", *cells])
    return markdown(["structure", *(f"`{a.name}`" for a in arms)], rows)


def friedman_line(experiment: Experiment, results: Sequence[Result]) -> str:
    """Friedman's test over all arms, where there are three or more."""
    told = []
    for test in ALL_TESTS:
        for part in parts(structure_set(experiment.structures)):
            answer = friedman(results, test, part)
            if answer is not None:
                people, p = answer
                told.append(f"{ALL_TESTS[test]}, {part}: p {p_equal(p)} ({people} people)")
    return "Friedman's test over all arms: " + "; ".join(told) + ".\n" if told else ""


def page(run: Run, results: Sequence[Result]) -> str:
    """``results.md``: all tables of the experiment, as the documentation includes them."""
    e = run.experiment
    out = [f"### Set-up\n\n{setting_table(run, results)}\n{arms_table(run, results)}"]
    for test, title in ALL_TESTS.items():
        if any(s.test == test for r in results for s in r.scores):
            out.append(f"### Dice, {title}\n\n{dice_table(e, results, test, ALL)}")
    line = friedman_line(e, results)
    if line:
        out.append(line)
    out.append(f"### Dice by replacement by fat\n\n{fat_table(e, results)}")
    title = f"### Structures, {TESTS['known']}"
    out.append(f"{title}\n\n{structure_table(e, results, 'known')}")
    return "\n".join(out)


def fat_table(experiment: Experiment, results: Sequence[Result]) -> str:
    """Mean Dice of people with no, mild and severe replacement by fat."""
    arms = [arm.name for arm in experiment.arms]
    groups = parts(structure_set(experiment.structures))
    found = {
        place: rows_of(results, arms, experiment.reference, *place)
        for place in product(ALL_TESTS, groups, FAT)
    }
    rows = []
    for arm in experiment.arms:
        for test in ALL_TESTS:
            for part in groups:
                mine = [_row_of(found[test, part, fat], arm.name) for fat in FAT]
                cells = [plus_minus(row.dice, row.sd_people) if row else "" for row in mine]
                if any(cells):
                    rows.append([f"{arm.title}; {part}; {ALL_TESTS[test]}", *cells])
    return markdown(["arm; structures; test", *(f"fat: {fat}" for fat in FAT)], rows)


def write_tables(run: Run, results: Sequence[Result]) -> list[Path]:
    """Write ``results.tsv``, ``people.tsv`` and ``results.md``."""
    texts = {
        "results.tsv": tsv(COLUMNS, [astuple(row) for row in all_rows(run.experiment, results)]),
        "people.tsv": tsv(
            PEOPLE_COLUMNS, [(r.arm, r.seed, *astuple(s)) for r in results for s in r.scores]
        ),
        "results.md": page(run, results),
    }
    for name, text in texts.items():
        write_text(run.folder / name, text)
    return [run.folder / name for name in texts]


def inserted(text: str, tables: str) -> str:
    """A page of the documentation with new tables between its marks.

    Raises
    ------
    UsageError
        If the marks are not there, once each and in their order.

    Examples
    --------
    >>> print(inserted("# Page <!-- results --> old <!-- end of results -->", "new "))
    # Page <!-- results -->
    new <!-- end of results -->
    """
    first, last = MARKS
    before, begun, rest = text.partition(first)
    _, ended, after = rest.partition(last)
    if not (begun and ended) or any(m in part for m in MARKS for part in (before, after)):
        raise UsageError(
            f"the page has no place for tables; expected {first} and {last} once each"
        )
    return f"{before}{first}\n{tables}{last}{after}"
