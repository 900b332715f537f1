"""The fat fractions of the voxels of each label, for what sums cannot tell: the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Values:
    """Values sorted by label.

    Attributes
    ----------
    sorted : ndarray of float
        All values, those of one label together.
    starts : ndarray of int
        Where those of each label begin; one entry more than there are labels.
    """

    sorted: NDArray[np.floating[Any]]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, label: NDArray[np.uint8], values: NDArray[np.floating[Any]]) -> Values:
        """Sort values by label (two arrays of the same length)."""
        order = np.argsort(label, kind="stable")
        starts = np.searchsorted(label[order], np.arange(257))
        return cls(values[order], starts)

    def median(self, labels: Sequence[int]) -> float | None:
        """Median over all values of some labels; None if there is none.

        Examples
        --------
        >>> values = Values.of(np.array([5, 6, 5], np.uint8), np.array([0.25, 0.5, 0.75]))
        >>> values.median([5]), values.median([5, 6]), values.median([7])
        (0.5, 0.5, None)
        """
        parts = [self.sorted[self.starts[label] : self.starts[label + 1]] for label in labels]
        found = np.concatenate(parts) if parts else np.zeros(0)
        return float(np.median(found)) if found.size else None
