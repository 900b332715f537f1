"""The tables of the page, never with too many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.evaluate.cells import Cell, Sheet, count_cell, number_cell, plain_cell
from legseg_bids.evaluate.observations import ALL, MUSCLES, Metric, load_metrics, structure_title
from legseg_bids.evaluate.outcomes import GROUPS, MODELS, OPERATORS, PAIR, WILCOXON, Outcome
from legseg_bids.evaluate.tidy import rows_of
from legseg_bids.evaluate.wording import bracketed, interval_text, p_text
from legseg_bids.group.statistics import Interval

if TYPE_CHECKING:
    from legseg_bids.evaluate.compared import Compared
    from legseg_bids.evaluate.summaries import Summary

SHOWN = ("dice", "hd95", "abs_relative_volume_error")
"""Metrics whose tests are shown for every structure; the others are in the tables."""
MAX_ROWS = 800
MAX_TROUBLES = 200


def overview(compared: Compared) -> Sheet:
    """One row for each model: all metrics, all structures together; another one for muscles."""
    metrics = list(load_metrics().values())
    told = {(s.model, s.metric, s.structure): s for s in _of_everybody(compared)}
    rows = []
    for structure in (ALL, MUSCLES):
        for model in compared.seen.models:
            of_model = [told.get((model, metric.name, structure)) for metric in metrics]
            first = next((s for s in of_model if s), None)
            if first:
                counts = first.n, first.values, first.missed, first.spurious
                cells = [_mean(m, s) for m, s in zip(metrics, of_model, strict=True)]
                names = Cell(model), Cell(structure_title(structure))
                rows.append([*names, *map(count_cell, counts), *cells])
    columns = ("Model", "Of", "Participants", "Values", "Not found", "Not in reference")
    return _sheet("overview", (*columns, *(m.label for m in metrics)), 2, rows)


def by_structure(compared: Compared, metric: Metric) -> Sheet:
    """One row for each structure: mean and deviation of each model."""
    seen = compared.seen
    told = {(s.model, s.structure): s for s in _of_everybody(compared) if s.metric == metric.name}
    rows = []
    for structure in (*seen.structures, ALL):
        of_models = [told.get((model, structure)) for model in seen.models]
        n = max((s.n for s in of_models if s), default=0)
        cells = [_spread(metric, s) for s in of_models]
        rows.append([Cell(structure_title(structure)), count_cell(n), *cells])
    return _sheet(f"structures-{_id(metric)}", ("Structure", "n", *seen.models), 1, rows)


def outcomes(compared: Compared, kind: str, *, overall: bool) -> Sheet:
    """Tests of one kind: of all structures together, or structure by structure."""
    chosen = [
        t for t in compared.tests
        if t.kind == kind and (t.structure == ALL) == overall
        and (overall or t.metric in SHOWN)
    ]  # fmt: skip
    columns, row = {
        MODELS: (FRIEDMAN_COLUMNS, _friedman),
        PAIR: (PAIR_COLUMNS, _pair),
        OPERATORS: (OPERATOR_COLUMNS, _operators),
        GROUPS: (GROUP_COLUMNS, _groups),
    }[kind]
    rows = [row(outcome) for outcome in chosen]
    if not overall:
        return _sheet(f"{kind}-each", columns, TEXTS[kind], rows)
    # The structure is the same in every row.
    columns = (columns[0], *columns[2:])
    return _sheet(f"{kind}-all", columns, TEXTS[kind] - 1, [[r[0], *r[2:]] for r in rows])


TEXTS = {MODELS: 2, PAIR: 4, OPERATORS: 4, GROUPS: 6}
FRIEDMAN_COLUMNS = ("Metric", "Structure", "n", "χ²", "Kendall's W", "p", "p (Holm)")
PAIR_COLUMNS = (
    "Metric", "Structure", "First", "Second", "n", "median first", "median second",
    "first − second [95 % CI]", "rank-biserial r", "p", "p (Holm)",
)  # fmt: skip
OPERATOR_COLUMNS = (
    "Metric", "Structure", "Model", "Test", "n model", "n raters", "median model",
    "median raters", "at least as good", "effect", "p", "p (Holm)",
)  # fmt: skip
GROUP_COLUMNS = (
    "Metric", "Structure", "Model", "Column", "First", "Second", "n first", "n second",
    "median first", "median second", "Cliff's δ", "Hedges' g [95 % CI]", "p", "p (Holm)",
)  # fmt: skip


def within(compared: Compared) -> Sheet:
    """In how many structures each model is as close to the reference as raters are."""
    rows = []
    chosen = [t for t in compared.tests if t.kind == OPERATORS and t.structure != ALL]
    for model in compared.seen.models:
        for name in dict.fromkeys(t.metric for t in chosen):
            metric = load_metrics()[name]
            of_both = [t for t in chosen if t.model == model and t.metric == name]
            if of_both:
                good = sum(bool(t.within) for t in of_both)
                tested = any(t.p is not None for t in of_both)
                shown = [
                    count_cell(sum(t.significant and bool(t.within) is better for t in of_both))
                    if tested
                    else Cell(NOT_AVAILABLE)
                    for better in (True, False)
                ]
                share = 100 * good / len(of_both)
                cells = [count_cell(n) for n in (len(of_both), good)]
                rows.append(
                    [Cell(model), Cell(metric.title), *cells, Cell(f"{share:.0f} %", share),
                     *shown]
                )  # fmt: skip
    columns = (
        "Model", "Metric", "Structures", "at least as good as raters", "Share", "shown better",
        "shown worse",
    )  # fmt: skip
    return _sheet("within", columns, 2, rows)


def agreement(compared: Compared) -> Sheet:
    """Volumes by model and structure; all structures together first."""
    listed = sorted(compared.agreed, key=lambda a: a.structure != ALL)
    rows = []
    for agreed in listed:
        limits, both = agreed.limits, agreed.coefficients
        rows.append(
            [
                Cell(agreed.model),
                Cell(structure_title(agreed.structure)),
                count_cell(limits.n),
                plain_cell(limits.mean),
                _estimate(limits.bias),
                Cell(f"{limits.lower.value:+.1f} to {limits.upper.value:+.1f}", 2 * limits.sd),
                _estimate(limits.slope, 3),
                _estimate(both.agreement if both else None, 3, sign=False),
                _estimate(both.consistency if both else None, 3, sign=False),
            ]
        )
    columns = (
        "Model", "Structure", "n", "Reference (cm³)", "Bias (cm³) [95 % CI]",
        "Limits of agreement (cm³)", "Slope [95 % CI]", "ICC(2,1) [95 % CI]",
        "ICC(3,1) [95 % CI]",
    )  # fmt: skip
    return _sheet("agreement", columns, 2, rows)


def file_sheet(name: str, path: Path) -> Sheet | None:
    """Another table of the evaluation as it is; None if it is not there or empty."""
    if not path.is_file():
        return None
    rows = rows_of(path)
    columns = [title.replace("_", " ") for title in next(rows, [])]
    listed = [[Cell(text) for text in cells] for cells in rows]
    if not listed:
        return None
    return Sheet(name, columns, len(columns), listed[:MAX_TROUBLES], len(listed))


def _sheet(name: str, columns: Sequence[str], numbers: int, rows: list[list[Cell]]) -> Sheet:
    return Sheet(name, columns, numbers, rows[:MAX_ROWS], len(rows))


def _friedman(outcome: Outcome) -> list[Cell]:
    metric = load_metrics()[outcome.metric]
    return [
        Cell(metric.title),
        Cell(structure_title(outcome.structure)),
        count_cell(outcome.n[0]),
        Cell(f"{outcome.statistic:.2f}", outcome.statistic),
        Cell(f"{outcome.effect:.2f}", outcome.effect),
        *_p(outcome),
    ]


def _pair(outcome: Outcome) -> list[Cell]:
    metric = load_metrics()[outcome.metric]
    difference = outcome.difference
    return [
        Cell(metric.label),
        Cell(structure_title(outcome.structure)),
        Cell(outcome.first),
        Cell(outcome.second),
        count_cell(outcome.n[0]),
        *_medians(metric, outcome),
        Cell(interval_text(metric, difference), difference.value if difference else None),
        Cell(f"{outcome.effect:+.2f}", outcome.effect),
        *_p(outcome),
    ]


def _operators(outcome: Outcome) -> list[Cell]:
    metric = load_metrics()[outcome.metric]
    return [
        Cell(metric.label),
        Cell(structure_title(outcome.structure)),
        Cell(outcome.model),
        Cell("same people" if outcome.test == WILCOXON else "other people"),
        *map(count_cell, outcome.n),
        *_medians(metric, outcome),
        Cell("yes" if outcome.within else "no", float(bool(outcome.within))),
        Cell(f"{outcome.effect:+.2f}", outcome.effect),
        *_p(outcome),
    ]


def _groups(outcome: Outcome) -> list[Cell]:
    metric = load_metrics()[outcome.metric]
    return [
        Cell(metric.label),
        Cell(structure_title(outcome.structure)),
        Cell(outcome.model),
        Cell(outcome.by),
        Cell(outcome.first),
        Cell(outcome.second),
        *map(count_cell, outcome.n),
        *_medians(metric, outcome),
        Cell(f"{outcome.effect:+.2f}", outcome.effect),
        _estimate(outcome.g, 2),
        *_p(outcome),
    ]


def _of_everybody(compared: Compared) -> Iterable[Summary]:
    return (s for s in compared.summaries if not s.by)


def _mean(metric: Metric, summary: Summary | None) -> Cell:
    if summary is None or not summary.n:
        return Cell(NOT_AVAILABLE)
    text = metric.text(summary.average)
    if summary.mean:
        text += f" [{metric.text(summary.mean.low)}, {metric.text(summary.mean.high)}]"
    return Cell(text, summary.average)


def _spread(metric: Metric, summary: Summary | None) -> Cell:
    if summary is None or not summary.n:
        return Cell(NOT_AVAILABLE)
    spread = f" ± {metric.text(summary.sd)}" if np.isfinite(summary.sd) else ""
    return Cell(metric.text(summary.average) + spread, summary.average)


def _medians(metric: Metric, outcome: Outcome) -> list[Cell]:
    return [number_cell(metric, median) for median in outcome.medians]


def _p(outcome: Outcome) -> list[Cell]:
    return [Cell(p_text(p), p) for p in (outcome.p, outcome.p_holm)]


def _estimate(interval: Interval | None, digits: int = 1, *, sign: bool = True) -> Cell:
    if interval is None:
        return Cell(NOT_AVAILABLE)
    how = f"{'+' if sign else ''}.{digits}f"
    return Cell(bracketed(interval, how), interval.value)


def _id(metric: Metric) -> str:
    return metric.name.replace("_", "-")
