"""Tables of what a comparison found, each with a JSON file that describes its columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from legseg_bids.evaluate.outcomes import Outcome
from legseg_bids.evaluate.summaries import Agreed, Summary
from legseg_bids.group.findings import spanned, two, write_described


@cache
def load_tables() -> Mapping[str, Mapping[str, Any]]:
    """The tables by name: their description, and that of each column, in order.

    Examples
    --------
    >>> list(load_tables())
    ['summary', 'comparisons', 'agreement']
    """
    text = resources.files(__package__).joinpath("data", "comparison_tables.json")
    return MappingProxyType(json.loads(text.read_text("utf-8")))


def write_tables(
    folder: Path,
    summaries: Sequence[Summary],
    tests: Sequence[Outcome],
    agreed: Sequence[Agreed],
) -> list[Path]:
    """Write the tables that have rows, each with its description; remove the others.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    rows: dict[str, list[dict[str, object]]] = {
        "summary": [summary_row(summary) for summary in summaries],
        "comparisons": [outcome_row(outcome) for outcome in tests],
        "agreement": [agreement_row(one) for one in agreed],
    }
    written = write_described(folder, load_tables(), rows)
    return [path for table in written for path in (table, table.with_suffix(".json"))]


def summary_row(summary: Summary) -> dict[str, object]:
    """One row of ``summary.tsv``."""
    mean = summary.mean
    return {
        "model": summary.model,
        "structure": summary.structure,
        "metric": summary.metric,
        "group_by": summary.by,
        "group": summary.group,
        "n": summary.n,
        "values": summary.values,
        "mean": summary.average,
        "mean_low": mean.low if mean else None,
        "mean_high": mean.high if mean else None,
        "sd": summary.sd,
        "median": summary.median,
        "quartile_1": summary.first,
        "quartile_3": summary.third,
        "minimum": summary.low,
        "maximum": summary.high,
        "missed": summary.missed,
        "spurious": summary.spurious,
    }


def outcome_row(outcome: Outcome) -> dict[str, object]:
    """One row of ``comparisons.tsv``."""
    return {
        "comparison": outcome.kind,
        "metric": outcome.metric,
        "structure": outcome.structure,
        "model": outcome.model,
        "first": outcome.first,
        "second": outcome.second,
        "group_by": outcome.by,
        "test": outcome.test,
        **two("n", outcome.n),
        **two("median", outcome.medians),
        **two("mean", outcome.means),
        **spanned("difference", outcome.difference),
        "effect": outcome.effect,
        "effect_name": outcome.effect_name,
        **spanned("hedges_g", outcome.g),
        "statistic": outcome.statistic,
        "method": outcome.method,
        "p": outcome.p,
        "p_holm": outcome.p_holm,
        "family": outcome.family or None,
        "within": outcome.within,
    }


def agreement_row(agreed: Agreed) -> dict[str, object]:
    """One row of ``agreement.tsv``."""
    limits, both = agreed.limits, agreed.coefficients
    percent = 100 * limits.bias.value / limits.mean if limits.mean else None
    return {
        "model": agreed.model,
        "structure": agreed.structure,
        "n": limits.n,
        "reference_mean": limits.mean,
        **spanned("bias", limits.bias),
        "bias_percent": percent,
        "sd": limits.sd,
        **spanned("lower", limits.lower),
        **spanned("upper", limits.upper),
        **spanned("slope", limits.slope),
        "p_slope": limits.p_slope,
        **spanned("icc_agreement", both.agreement if both else None),
        **spanned("icc_consistency", both.consistency if both else None),
    }
