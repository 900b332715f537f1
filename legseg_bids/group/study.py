"""A study as numbers: one measurement of each structure for each participant and session.

Where the stations of a leg were merged, the merged image counts and its stations do not. Of a
structure that several images of a participant (and session) still show, one measurement is
taken, never a sum, as images overlap: the one that is not cut by the first or last slice; among
these, one not cut in plane; among these, the largest volume.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.group.structures import Structure, in_order, load_measures, structure_of

WORDS = ("truncated", "complete", "quality")
"""Columns that are told in words."""
POOR = "poor"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """One participant in one session.

    Attributes
    ----------
    participant, session : str
        ``sub-…``, and ``ses-…`` or ``n/a``.
    images : tuple of str
        Stems of the images that its measurements were taken from.
    """

    participant: str
    session: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Measurements of all participants.

    Attributes
    ----------
    records : tuple of Record
        By participant, then session.
    structures : tuple of Structure
        By kind and index, see :func:`legseg_bids.group.structures.in_order`.
    values : dict of str to ndarray of float, shape (records, structures)
        By measure; NaN where there is no value. Measures without any value are left out.
    words : dict of str to ndarray of str, shape (records, structures)
        ``truncated``, ``complete`` and ``quality``; empty where there is none.
    whole : ndarray of bool, shape (records, structures)
        In view as a whole: neither truncated nor cut in plane.
    peak : ndarray of bool, shape (records, structures)
        The largest cross-section lies within the view; so for whole structures.
    image : ndarray of int, shape (records, structures)
        Which image of its record the measurement was taken from; -1 for none.
    reasons : dict of str to int
        Why quality is not good, and how often; most frequent first.
    """

    records: tuple[Record, ...]
    structures: tuple[Structure, ...]
    values: dict[str, Floats]
    words: dict[str, NDArray[np.str_]]
    whole: NDArray[np.bool_]
    peak: NDArray[np.bool_]
    image: NDArray[np.int16]
    reasons: dict[str, int] = field(default_factory=dict)

    @cached_property
    def sessions(self) -> tuple[str, ...]:
        """Sessions that occur, ``ses-2`` before ``ses-10``; images without a session first."""
        return tuple(sorted({record.session for record in self.records}, key=natural))

    @cached_property
    def bases(self) -> dict[str, tuple[int, ...]]:
        """Columns of each structure whatever its side, left first."""
        found: dict[str, list[int]] = {}
        for column, structure in enumerate(self.structures):
            found.setdefault(f"{structure.kind} {structure.base}", []).append(column)
        return {name: tuple(columns) for name, columns in found.items()}

    def usable(self, measure: str) -> Floats:
        """Values that statistics may use: of whole structures, where that matters; none poor.

        Returns
        -------
        ndarray of float, shape (records, structures)
            NaN elsewhere.
        """
        fine = (self.words["quality"] != POOR) & self.counts(measure)
        return np.where(fine, self.values[measure], np.nan)

    def counts(self, measure: str) -> NDArray[np.bool_]:
        """Whether enough of a structure is in view for a measure of it to say something.

        Returns
        -------
        ndarray of bool, shape (records, structures)
            Whatever the quality.
        """
        masks = {"whole": self.whole, "peak": self.peak, "always": self.image >= 0}
        return masks[load_measures()[measure].counts]


@dataclass
class StudyBuilder:
    """Takes rows of the long table, participant by participant, and keeps the numbers alone."""

    structures: dict[str, Structure] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    _columns: dict[str, int] = field(default_factory=dict)
    _parts: list[_Part] = field(default_factory=list)

    def add(self, participant: str, rows: Sequence[Mapping[str, str]]) -> None:
        """Take all rows of a participant."""
        sessions = sorted({row["session_id"] for row in rows}, key=natural)
        for row in rows:
            reasons = row.get("quality_reasons", NOT_AVAILABLE)
            if reasons != NOT_AVAILABLE:
                self.reasons.update(reason.strip() for reason in reasons.split(";"))
        for session in sessions:
            chosen = [row for row in rows if row["session_id"] == session]
            self._parts.append(self._part(participant, session, chosen))

    def build(self) -> Study:
        """The study, with its columns in order."""
        ordered = in_order(self.structures.values())
        shape = len(self._parts), len(ordered)
        place = {s.key: column for column, s in enumerate(ordered)}
        to = np.array([place[key] for key in self._columns], np.intp)
        values = {name: np.full(shape, np.nan) for name in load_measures()}
        words = {name: np.full(shape, "", "U12") for name in WORDS}
        whole, peak = np.zeros(shape, bool), np.zeros(shape, bool)
        image = np.full(shape, -1, np.int16)
        for record, part in enumerate(self._parts):
            columns = to[part.columns]
            for array, numbers in zip(values.values(), part.values.T, strict=True):
                array[record, columns] = numbers
            for name, texts in zip(WORDS, zip(*part.words, strict=True), strict=False):
                words[name][record, columns] = texts
            whole[record, columns], peak[record, columns] = part.whole, part.peak
            image[record, columns] = part.image
        kept = {name: array for name, array in values.items() if np.isfinite(array).any()}
        records = tuple(part.record for part in self._parts)
        reasons = {reason: n for reason, n in self.reasons.most_common() if reason}
        return Study(records, ordered, kept, words, whole, peak, image, reasons)

    def _part(self, participant: str, session: str, rows: Iterable[Mapping[str, str]]) -> _Part:
        several: dict[str, list[Mapping[str, str]]] = {}
        for row in rows:
            structure = self.structures.get(row["abbreviation"]) or structure_of(row)
            if structure is not None:
                self.structures.setdefault(structure.key, structure)
                several.setdefault(structure.key, []).append(row)
        chosen = {key: choose_row(of_one) for key, of_one in several.items()}
        columns = [self._columns.setdefault(key, len(self._columns)) for key in chosen]
        images = list(dict.fromkeys(row["image"] for row in chosen.values()))
        taken = chosen.values()
        numbers = [[number(row.get(name)) for name in load_measures()] for row in taken]
        return _Part(
            Record(participant, session, tuple(map(_stem, images))),
            np.array(columns, np.intp),
            np.array(numbers, float).reshape(len(columns), len(load_measures())),
            [tuple(_word(row.get(name)) for name in WORDS) for row in taken],
            [is_whole(row) for row in taken],
            [has_peak(row) for row in taken],
            [images.index(row["image"]) for row in taken],
        )


@dataclass(frozen=True)
class _Part:
    """The numbers of one record, in the columns that were known by then."""

    record: Record
    columns: NDArray[np.intp]
    values: Floats
    words: list[tuple[str, ...]]
    whole: list[bool]
    peak: list[bool]
    image: list[int]


def choose_row(rows: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """Choose one of several measurements of the same structure (see the module's rule).

    Examples
    --------
    >>> cut = {"truncated": "both", "cut_in_plane": "false", "volume": "300"}
    >>> whole = {"truncated": "none", "cut_in_plane": "false", "volume": "250"}
    >>> choose_row([cut, whole])["volume"]
    '250'
    """
    return max(rows, key=_rank)


def is_whole(row: Mapping[str, str]) -> bool:
    """Whether the structure is in view as a whole; of a tissue of the limb nobody can tell.

    Examples
    --------
    >>> is_whole({"truncated": "none", "cut_in_plane": "true"}), is_whole({"complete": "true"})
    (False, True)
    """
    whole = row.get("truncated") == "none" or row.get("complete") == "true"
    return whole and row.get("cut_in_plane") != "true"


def has_peak(row: Mapping[str, str]) -> bool:
    """Whether the largest cross-section lies within the view.

    So it does in a whole structure, and in one that is cut by the first or last slice if both
    neighbours of its largest slice are smaller slices of it.

    Examples
    --------
    >>> cut = {"truncated": "both", "first_slice": "0", "last_slice": "9"}
    >>> has_peak({**cut, "max_csa_slice": "4"}), has_peak({**cut, "max_csa_slice": "9"})
    (True, False)
    """
    first, largest, last = (
        number(row.get(name)) for name in ("first_slice", "max_csa_slice", "last_slice")
    )
    inside = first < largest < last and row.get("truncated") != "gap"
    return is_whole(row) or (inside and row.get("cut_in_plane") != "true")


def number(text: str | None) -> float:
    """Read a number; NaN for anything else, infinity included.

    Examples
    --------
    >>> number("2.5"), number("n/a")
    (2.5, nan)
    """
    try:
        value = float(text or "nan")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def natural(session: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sort key by which ``n/a`` comes first and ``ses-2`` before ``ses-10``.

    Examples
    --------
    >>> sorted(["ses-10", "ses-2", "n/a"], key=natural)
    ['n/a', 'ses-2', 'ses-10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", session)
    keys = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return session != NOT_AVAILABLE, keys


def asymmetry(study: Study) -> dict[str, Floats]:
    """Difference of volume between the sides, in percent of their mean: 100 (L − R) / ½(L + R).

    Parameters
    ----------
    study : Study
        Values of poor quality, or of a structure that is cut on either side, do not count.

    Returns
    -------
    dict of str to ndarray of float, shape (records,)
        By kind and base, as in :attr:`Study.bases`; pairs only.
    """
    if "volume" not in study.values:
        return {}
    volumes = study.usable("volume")
    pairs = {name: columns for name, columns in study.bases.items() if len(columns) == 2}
    found = {}
    for name, (left, right) in pairs.items():
        mean = (volumes[:, left] + volumes[:, right]) / 2
        mean[mean == 0] = np.nan
        found[name] = 100 * (volumes[:, left] - volumes[:, right]) / mean
    return found


def mean_of_sides(study: Study, values: Floats) -> dict[str, Floats]:
    """One value of each structure for each record: the mean of the sides that are there.

    Parameters
    ----------
    study : Study
        Whose columns these are.
    values : ndarray of float, shape (records, structures)
        Of any records, NaN where there is none.

    Returns
    -------
    dict of str to ndarray of float, shape (records,)
        By kind and base, as in :attr:`Study.bases`.
    """
    found = {}
    for name, columns in study.bases.items():
        sides = values[:, columns]
        there = np.isfinite(sides).sum(axis=1)
        total = np.nansum(sides, axis=1)
        found[name] = np.where(there > 0, total / np.maximum(there, 1), np.nan)
    return found


def _rank(row: Mapping[str, str]) -> tuple[bool, bool, float]:
    volume = number(row.get("volume"))
    return (
        row.get("truncated") == "none" or row.get("complete") == "true",
        row.get("cut_in_plane") != "true",
        -math.inf if math.isnan(volume) else volume,
    )


def _word(text: str | None) -> str:
    return "" if text in (None, NOT_AVAILABLE) else str(text)


def _stem(image: str) -> str:
    return PurePosixPath(image).name.removesuffix("_dseg.nii.gz")
