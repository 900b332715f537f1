"""The tidy table of an evaluation as arrays, and what one participant contributes.

Sides, images and sessions of one person are no independent observations: the unit of analysis is
the participant, of whom everything is averaged first. What is compared between models is averaged
over exactly the same structures of the same images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.evaluate.structures import read_data
from legseg_bids.group.statistics import Floats
from legseg_bids.group.structures import label_structures

TABLE, SLICES = "evaluation.tsv", "evaluation_slices.tsv"
ALL = "all"
"""All structures together; also the cell of a row that is not about one slice."""
MUSCLES = "muscles"
"""All muscles together, where bones or fat were compared, too."""
ITEM = ("participant_id", "session_id", "image", "structure", "side")
"""Columns that name what was measured, whoever measured it."""
VOLUMES = ("predicted_cm3", "reference_cm3")
NUMBERS = (
    "dice", "jaccard", "hd", "hd95", "msd", "relative_volume_error", "volume_error_cm3", *VOLUMES,
)  # fmt: skip
BOTH_EMPTY, REFERENCE_EMPTY, PREDICTION_EMPTY = (
    "both_empty", "reference_empty", "prediction_empty",
)  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """A number that tells how good a result is.

    Attributes
    ----------
    name, column : str
        What it is called here, and the column of the table that it is taken from.
    absolute : bool
        Whether the sign of that column does not count.
    title, unit : str
        For people; a fraction has no unit.
    scale : float
        By which values are multiplied for people, to be in ``unit``.
    digits : int
        Decimals for people.
    better : str
        ``high`` or ``low``.
    """

    name: str
    column: str
    absolute: bool
    title: str
    unit: str
    scale: float
    digits: int
    better: str

    @property
    def label(self) -> str:
        """Title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: float | None) -> str:
        """Spell a value for people, without its unit.

        Examples
        --------
        >>> load_metrics()["dice"].text(0.87654), load_metrics()["dice"].text(None)
        ('0.877', 'n/a')
        """
        if value is None or not np.isfinite(value):
            return NOT_AVAILABLE
        return f"{self.scale * value:.{self.digits}f}"


@dataclass(frozen=True, eq=False)
class Observations:
    """All that was measured of whole structures.

    Attributes
    ----------
    models, participants, structures : tuple of str
        In the order of the file, sorted, and in anatomical order.
    items : tuple of tuple of str
        What was measured: the cells of :data:`ITEM`.
    person, structure : ndarray of int, shape (items,)
        Positions in ``participants`` and ``structures``.
    numbers : dict of str to ndarray of float, shape (models, items)
        By column; NaN where there is none.
    status : ndarray of str, shape (models, items)
        Empty where a model has no row.
    """

    models: tuple[str, ...]
    participants: tuple[str, ...]
    structures: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]
    person: NDArray[np.intp]
    structure: NDArray[np.intp]
    numbers: Mapping[str, Floats]
    status: NDArray[np.str_]

    @cached_property
    def images(self) -> int:
        """Images that were compared."""
        return len({item[2] for item in self.items})

    def values(self, metric: Metric) -> Floats:
        """Values of a metric, shape (models, items)."""
        found = self.numbers[metric.column]
        return np.abs(found) if metric.absolute else found

    def by_participant(self, values: Floats, keep: NDArray[np.bool_] | None = None) -> Floats:
        """Average over sides, images and sessions of each participant.

        Parameters
        ----------
        values : ndarray of float, shape (rows, items)
            NaN does not count.
        keep : ndarray of bool, shape (items,), optional
            Items that count.

        Returns
        -------
        ndarray of float, shape (rows, participants, structures)
            NaN where nothing counts.
        """
        shape = len(self.participants), len(self.structures)
        place = self.person * shape[1] + self.structure
        means = np.full((len(values), *shape), np.nan)
        for row, mean in zip(values, means.reshape(len(values), -1), strict=True):
            there = np.isfinite(row) if keep is None else np.isfinite(row) & keep
            n = np.bincount(place[there], minlength=mean.size)
            total = np.bincount(place[there], weights=row[there], minlength=mean.size)
            np.divide(total, n, out=mean, where=n > 0)
        return means

    def paired(self, metric: Metric, models: Sequence[int]) -> Floats:
        """Participants' means of a metric, of what all these models have a value for.

        Where one model tells the sides of a structure apart and another one does not, the mean
        over the sides stands against the value of both.

        Returns
        -------
        ndarray of float, shape (models, participants, structures + 1)
            The last column is the mean over the participant's structures.
        """
        chosen = list(models)
        values, known = self.values(metric)[chosen], self.status[chosen] != ""
        shared = np.where(np.isfinite(values).all(axis=0), values, np.nan)
        first, means = self._whatever_side(values, known)
        shared[:, first] = means
        return with_all(self.by_participant(shared))

    @cached_property
    def unsided(self) -> NDArray[np.intp]:
        """Which structure of which image each item belongs to, whatever its side."""
        known: dict[tuple[str, ...], int] = {}
        return np.array([known.setdefault(i[:-1], len(known)) for i in self.items], np.intp)

    def _whatever_side(
        self, values: Floats, known: NDArray[np.bool_]
    ) -> tuple[NDArray[np.intp], Floats]:
        """Means over the sides of what no side is shared of, and the items that they are put to.

        Only complete ones: every model has a value for all the sides that it tells apart.
        """
        size = int(self.unsided.max(initial=-1)) + 1
        there = np.isfinite(values)

        def count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(self.unsided[mask], minlength=size)

        shared = count(np.asarray(known.all(axis=0))) > 0
        rows, found = np.array([count(k) for k in known]), np.array([count(t) for t in there])
        wanted = np.flatnonzero(~shared & (rows > 0).all(axis=0) & (rows == found).all(axis=0))
        totals = [
            np.bincount(self.unsided[t], v[t], size) for t, v in zip(there, values, strict=True)
        ]
        means = np.array(totals)[:, wanted] / found[:, wanted]
        _, first = np.unique(self.unsided, return_index=True)
        return first[wanted], means

    def single(self, metric: Metric) -> Floats:
        """The same of each model by itself: all it has a value for."""
        return with_all(self.by_participant(self.values(metric)))


@cache
def load_metrics() -> Mapping[str, Metric]:
    """Metrics that are compared, by name, in the order of tables and page.

    Examples
    --------
    >>> load_metrics()["hd95"].label
    'HD95 (mm)'
    """
    rows = read_data("compared_metrics.tsv")
    return MappingProxyType(
        {
            row["metric"]: Metric(
                row["metric"],
                row["column"],
                row["absolute"] == "true",
                row["title"],
                "" if row["unit"] == NOT_AVAILABLE else row["unit"],
                float(row["scale"]),
                int(row["digits"]),
                row["better"],
            )
            for row in rows
        }
    )


def known_mean(values: Floats, axis: int) -> Floats:
    """Mean of what is known; NaN where nothing is.

    Examples
    --------
    >>> import numpy as np
    >>> known_mean(np.array([[1.0, np.nan], [3.0, np.nan]]), axis=0).tolist()
    [2.0, nan]
    """
    there = np.isfinite(values)
    n = there.sum(axis=axis)
    total = np.where(there, values, 0).sum(axis=axis)
    mean: Floats = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
    return mean


def with_all(values: Floats) -> Floats:
    """Append the mean over the structures as the last column.

    Examples
    --------
    >>> import numpy as np
    >>> with_all(np.array([[1.0, 2.0], [np.nan, 3.0]])).tolist()
    [[1.0, 2.0, 1.5], [nan, 3.0, 3.0]]
    """
    return np.concatenate([values, known_mean(values, axis=-1)[..., None]], axis=-1)


def in_order(structures: Iterable[str]) -> tuple[str, ...]:
    """Sort structures as the label scheme does, all others after them by name.

    Examples
    --------
    >>> in_order(["thigh", "SOL", "RF", "SOL"])
    ('SOL', 'RF', 'thigh')
    """
    known = {name: at for at, name in enumerate(_titles())}
    return tuple(sorted(set(structures), key=lambda name: (known.get(name, len(known)), name)))


def muscles_among(structures: Sequence[str]) -> list[int]:
    """Positions of muscles; empty if all are muscles, or none is.

    Structures that the label scheme does not know count as muscles.

    Examples
    --------
    >>> muscles_among(["RF", "FEM", "quadriceps"]), muscles_among(["RF", "VL"])
    ([0, 2], [])
    """
    known = {structure.base: structure.kind for structure in label_structures().values()}
    found = [at for at, name in enumerate(structures) if known.get(name, "muscle") == "muscle"]
    return found if len(found) < len(structures) else []


def structure_title(name: str) -> str:
    """What a structure is called.

    Examples
    --------
    >>> structure_title("RF"), structure_title("triceps_surae"), structure_title("all")
    ('Rectus femoris', 'Triceps surae', 'All structures')
    """
    if name in (ALL, MUSCLES):
        return f"All {name if name == MUSCLES else 'structures'}"
    known = _titles().get(name)
    if known:
        return known
    spaced = name.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


@cache
def _titles() -> Mapping[str, str]:
    """Names of the label scheme, with their side and without it."""
    found: dict[str, str] = {}
    for structure in label_structures().values():
        side = "" if structure.side == NOT_AVAILABLE else f" {structure.side}"
        found.setdefault(structure.base, structure.name)
        found.setdefault(structure.key, structure.name + side)
    return MappingProxyType(found)
