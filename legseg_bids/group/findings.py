"""Tables of what the statistics found: one row for each outlier, and one for each test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from legseg_bids.bids.sidecars import to_tsv
from legseg_bids.bids.write import remove, write_json, write_text
from legseg_bids.group.analysis import ASYMMETRY, Finding, Outlier
from legseg_bids.group.statistics import Change, Comparison, Correlation, Interval
from legseg_bids.group.study import Study

DESCRIPTION = "Description"


@cache
def load_tables() -> Mapping[str, Mapping[str, Any]]:
    """The tables by name: their description, and that of each column, in order.

    Examples
    --------
    >>> list(load_tables())
    ['group_outliers', 'group_comparisons', 'group_correlations', 'group_changes']
    """
    text = resources.files(__package__).joinpath("data", "statistics.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))


def write_findings(
    root: Path, study: Study, outliers: Sequence[Outlier], findings: Sequence[Finding]
) -> tuple[Path, ...]:
    """Write the tables that have rows, each with its description; remove the others.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    rows: dict[str, list[dict[str, object]]] = {
        "group_outliers": [outlier_row(study, outlier) for outlier in outliers],
        "group_comparisons": _rows(findings, Comparison),
        "group_correlations": _rows(findings, Correlation),
        "group_changes": _rows(findings, Change),
    }
    return tuple(write_described(root, load_tables(), rows))


def write_described(
    folder: Path,
    tables: Mapping[str, Mapping[str, Any]],
    rows: Mapping[str, Sequence[Mapping[str, object]]],
) -> list[Path]:
    """Write the tables that have rows, each with its description; remove the others.

    Parameters
    ----------
    folder : Path
    tables : mapping
        By name, the description of the table and of each column, in order.
    rows : mapping
        Of each table.

    Returns
    -------
    list of Path
        The tables that were written; their descriptions end in ``.json`` instead.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    written = []
    for name, text in tables.items():
        path = folder / f"{name}.tsv"
        if rows[name]:
            columns = [column for column in text if column != DESCRIPTION]
            write_text(path, to_tsv(columns, rows[name]))
            write_json(path.with_suffix(".json"), text)
            written.append(path)
        else:
            remove([path, path.with_suffix(".json")])
    return written


def outlier_row(study: Study, outlier: Outlier) -> dict[str, object]:
    """One row of the table of outliers."""
    record, structure = study.records[outlier.record], study.structures[outlier.column]
    return {
        "participant_id": record.participant,
        "session_id": record.session,
        "image": record.images[study.image[outlier.record, outlier.column]],
        "abbreviation": structure.base if outlier.measure == ASYMMETRY else structure.key,
        "measure": outlier.measure,
        "value": outlier.value,
        "median": outlier.median,
        "robust_z": round(outlier.z, 2),
    }


def finding_row(finding: Finding) -> dict[str, object]:
    """One row of the table of its kind of test."""
    common = {
        "kind": finding.structure.kind,
        "structure": finding.structure.base,
        "measure": finding.measure,
        "p_holm": finding.p_holm,
        "p_fdr": finding.p_fdr,
    }
    if isinstance(finding.result, Comparison):
        return common | _compared(finding, finding.result)
    if isinstance(finding.result, Correlation):
        return common | _correlated(finding, finding.result)
    return common | _changed(finding, finding.result)


def _rows(findings: Sequence[Finding], kind: type) -> list[dict[str, object]]:
    return [finding_row(finding) for finding in findings if isinstance(finding.result, kind)]


def _compared(finding: Finding, result: Comparison) -> dict[str, object]:
    return {
        "covariate": finding.by,
        "group_1": finding.groups[0],
        "group_2": finding.groups[1],
        **two("n", result.n),
        **two("mean", result.means),
        **two("sd", result.sds),
        **spanned("difference", result.difference),
        **spanned("hedges_g", result.g),
        "p_welch": result.p,
        "cliffs_delta": result.delta,
        "p_mannwhitney": result.p_rank,
    }


def _correlated(finding: Finding, result: Correlation) -> dict[str, object]:
    return {
        "covariate": finding.by,
        "n": result.n,
        **spanned("spearman_rho", result.rho),
        "p_spearman": result.p,
        **spanned("pearson_r", result.r),
        "slope": result.slope,
    }


def _changed(finding: Finding, result: Change) -> dict[str, object]:
    return {
        "session_1": finding.by,
        "session_2": finding.groups[0],
        "n": result.n,
        **two("mean", (result.before, result.after)),
        **spanned("difference", result.difference),
        **spanned("percent", result.percent),
        "p_paired": result.p,
        "p_wilcoxon": result.p_rank,
    }


def two(name: str, values: tuple[float, float]) -> dict[str, object]:
    """Cells of a pair of values."""
    return {f"{name}_1": values[0], f"{name}_2": values[1]}


def spanned(name: str, interval: Interval | None) -> dict[str, object]:
    """Cells of an estimate and its interval; none where there is no estimate."""
    if interval is None:
        return {}
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
