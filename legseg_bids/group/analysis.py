"""What the numbers of a study say: outliers, groups, correlations, changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.group import statistics
from legseg_bids.group.covariates import Covariate
from legseg_bids.group.statistics import Change, Comparison, Correlation, Floats
from legseg_bids.group.structures import COMPARTMENT, TISSUE, Structure
from legseg_bids.group.study import Study, asymmetry, mean_of_sides

ANALYSED = ("muscle", COMPARTMENT, TISSUE)
"""Kinds of structures that groups are compared by."""
MAX_LATER = 5
"""Later sessions that are compared with the first."""
ASYMMETRY = "asymmetry"


@dataclass(frozen=True)
class Outlier:
    """A value far from those of the others.

    Attributes
    ----------
    record, column : int
        Of the study; of an asymmetry, the column of the left side.
    measure : str
        Of what.
    value, median, z : float
        See :func:`legseg_bids.group.statistics.robust_z`.
    """

    record: int
    column: int
    measure: str
    value: float
    median: float
    z: float


@dataclass(frozen=True)
class Finding:
    """One test.

    Attributes
    ----------
    structure : Structure
        Left one of a pair; the value is the mean of the sides.
    measure : str
        Of what.
    by : str
        Covariate, or the earlier session.
    groups : tuple of str
        The two levels, or the later session; empty for numbers.
    result : Comparison, Correlation or Change
        What came out.
    p_holm, p_fdr : float
        Adjusted for all tests of one measure by one covariate (or between sessions).
    """

    structure: Structure
    measure: str
    by: str
    groups: tuple[str, ...]
    result: Comparison | Correlation | Change
    p_holm: float = 1.0
    p_fdr: float = 1.0


def find_outliers(study: Study) -> list[Outlier]:
    """Values that lie more than 3.5 robust standard deviations from the median of the study.

    Each side is looked at by itself, all sessions together. Structures that are cut do not count
    where that would change the value; those of poor quality do.

    Returns
    -------
    list of Outlier
        The furthest first.
    """
    found = []
    for measure in study.values:
        values = np.where(study.counts(measure), study.values[measure], np.nan)
        for column in range(len(study.structures)):
            found += _outliers(values[:, column], column, measure)
    for name, values in asymmetry(study).items():
        found += _outliers(values, study.bases[name][0], ASYMMETRY)
    return sorted(found, key=lambda o: (-abs(o.z), o.record, o.column, o.measure))


def first_records(study: Study, participants: Sequence[str]) -> list[int | None]:
    """The record of each participant's first session, None for those without any."""
    first: dict[str, int] = {}
    for index, record in enumerate(study.records):
        first.setdefault(record.participant, index)
    return [first.get(participant) for participant in participants]


def by_covariates(
    study: Study, participants: Sequence[str], covariates: Sequence[Covariate]
) -> list[Finding]:
    """Compare groups, and correlate with numbers; the first session of each participant.

    Parameters
    ----------
    study : Study
        What was measured.
    participants : sequence of str
        To whom the values of the covariates belong.
    covariates : sequence of Covariate
        See :func:`legseg_bids.group.covariates.read_covariates`.
    """
    place = first_records(study, participants)
    there = np.array([index is not None for index in place], bool)
    rows = np.array([index for index in place if index is not None], np.intp)
    found: list[Finding] = []
    for measure in study.values:
        of_all = _analysed(study, mean_of_sides(study, study.usable(measure)))
        for covariate in covariates:
            known = covariate.values[there]
            tests = _groups if covariate.levels else _numbers
            family = [
                Finding(structure, measure, covariate.name, groups, result)
                for structure, values in of_all
                for groups, result in tests(covariate, known, values[rows])
            ]
            found += _adjusted(family)
    return found


def over_sessions(study: Study) -> list[Finding]:
    """Changes within participants, from the first session to each later one."""
    sessions = [session for session in study.sessions if session != NOT_AVAILABLE]
    place = {(r.participant, r.session): index for index, r in enumerate(study.records)}
    people = list(dict.fromkeys(record.participant for record in study.records))
    found: list[Finding] = []
    for later in sessions[1 : 1 + MAX_LATER]:
        pairs = [(place.get((p, sessions[0])), place.get((p, later))) for p in people]
        both = np.array([pair for pair in pairs if None not in pair], np.intp).reshape(-1, 2)
        for measure in study.values:
            family = []
            values = study.usable(measure)
            # A side counts only if it does in both sessions: else its loss would be a change.
            before, after = values[both[:, 0]], values[both[:, 1]]
            before[np.isnan(after)] = after[np.isnan(before)] = np.nan
            sides = zip(
                _analysed(study, mean_of_sides(study, before)),
                _analysed(study, mean_of_sides(study, after)),
                strict=True,
            )
            for (structure, earlier), (_, at_last) in sides:
                result = statistics.change(*statistics.finite(earlier, at_last))
                if result:
                    family.append(Finding(structure, measure, sessions[0], (later,), result))
            found += _adjusted(family)
    return found


def _outliers(values: Floats, column: int, measure: str) -> list[Outlier]:
    z = statistics.robust_z(values)
    far = np.flatnonzero(np.abs(np.nan_to_num(z)) > statistics.OUTLIER_Z)
    median = float(np.nanmedian(values)) if len(far) else np.nan
    return [
        Outlier(int(record), column, measure, float(values[record]), median, float(z[record]))
        for record in far
    ]


def _analysed(study: Study, values: dict[str, Floats]) -> list[tuple[Structure, Floats]]:
    """Structures that are compared, with one value for each record."""
    named = ((study.structures[study.bases[name][0]], of_all) for name, of_all in values.items())
    return [(structure, of_all) for structure, of_all in named if structure.kind in ANALYSED]


def _groups(
    covariate: Covariate, known: Floats, values: Floats
) -> Iterator[tuple[tuple[str, str], Comparison]]:
    """All pairs of levels with enough values."""
    for one, two in combinations(range(len(covariate.levels)), 2):
        first, second = (statistics.finite(values[known == level])[0] for level in (one, two))
        result = statistics.compare(first, second)
        if result:
            yield (covariate.levels[one], covariate.levels[two]), result


def _numbers(
    _: Covariate, known: Floats, values: Floats
) -> Iterator[tuple[tuple[()], Correlation]]:
    result = statistics.correlate(*statistics.finite(known, values))
    if result:
        yield (), result


def _adjusted(family: list[Finding]) -> list[Finding]:
    p = [finding.result.p for finding in family]
    both = zip(statistics.holm(p), statistics.benjamini_hochberg(p), strict=True)
    return [
        replace(finding, p_holm=float(h), p_fdr=float(f))
        for finding, (h, f) in zip(family, both, strict=True)
    ]
