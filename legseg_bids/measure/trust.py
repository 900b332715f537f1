"""How right a label probably is: a Dice coefficient predicted without knowing the truth.

The mean probability of a label tells it well enough: on simulated people never trained on, of
graded difficulty, its rank correlation with the true Dice coefficient is 0.86 to 0.90, and size,
shape, fragmentation, what stands around the muscle and the rest of the limb added nothing. What
the probability lacks is the scale: networks are surer than they are right. The table
``data/predicted_dice.tsv`` gives the mean Dice coefficient that was found at each level, made by
``benchmarks/accuracy predict``. What no simulated leg shows, it cannot know: docs/accuracy.md.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np


def predict_dice(confidence: float) -> float:
    """The Dice coefficient that a label of this mean probability has on average.

    Parameters
    ----------
    confidence : float
        Mean probability of the label in its voxels, 0 to 1.

    Returns
    -------
    float
        0 to 1, rising with the confidence.

    Raises
    ------
    ValueError
        If the confidence is not between 0 and 1.

    Examples
    --------
    >>> predict_dice(0.9) > 0.85 > predict_dice(0.8) > 0.6 > predict_dice(0.6)
    True
    """
    if not 0.0 <= confidence <= 1.0:
        msg = f"confidence is {confidence}; expected 0 to 1"
        raise ValueError(msg)
    return float(np.interp(confidence, *_curve()))


def mean_prediction(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Predicted Dice coefficient of a whole image, the mean over its muscles; None without any.

    Muscles count by the square root of their volume: small ones are more often not there at all,
    which the mean over those that are must not suffer from (rank correlation with it 0.81 on
    simulated people, instead of 0.78 if all count alike, and no bias).

    Parameters
    ----------
    rows : iterable of mapping
        With ``predicted_dice`` (or None) and ``volume``, mL.

    Examples
    --------
    >>> large, small, bone = ((0.9, 400.0), (0.6, 100.0), (None, 90.0))
    >>> told = [{"predicted_dice": dice, "volume": ml} for dice, ml in (large, small, bone)]
    >>> mean_prediction(told), mean_prediction(told[2:])
    (0.8, None)
    """
    known = [
        (float(row["predicted_dice"]), math.sqrt(row["volume"]))
        for row in rows
        if row["predicted_dice"] is not None
    ]
    weight = sum(w for _, w in known)
    return round(sum(value * w for value, w in known) / weight, 4) if known else None


@cache
def _curve() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Levels of the confidence, rising, and the Dice coefficient at each."""
    source = resources.files(__package__).joinpath("data", "predicted_dice.tsv")
    rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines(), delimiter="\t"))
    return (
        tuple(float(row["confidence"]) for row in rows),
        tuple(float(row["dice"]) for row in rows),
    )
