"""Learning rates over the course of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType

from legseg_bids.train.own.recipe import Schedule

#: One cycle: share of the training on the way up, and how far below the peak it begins and ends
#: (Smith and Topin, arXiv 1708.07120; PyTorch's defaults).
RISE, BEGIN, END = 0.3, 1 / 25, 1e-4 / 25
#: Cosine: share of the training that warms up, and where it ends (as the shipped networks).
WARM_UP, FLOOR = 0.02, 0.01


def one_cycle(share: float) -> float:
    """Up along a half cosine, and down again.

    Examples
    --------
    >>> [round(one_cycle(s), 3) for s in (0, 0.15, RISE, 1)]
    [0.04, 0.52, 1.0, 0.0]
    """
    if share < RISE:
        return _between(BEGIN, 1.0, share / RISE)
    return _between(1.0, END, (share - RISE) / (1 - RISE))


def cosine(share: float) -> float:
    """A short linear warm-up, then a half cosine down (Loshchilov and Hutter, ICLR 2017).

    Examples
    --------
    >>> [round(cosine(s), 3) for s in (0, WARM_UP, 0.51, 1)]
    [0.05, 1.0, 0.505, 0.01]
    """
    if share < WARM_UP:
        return 0.05 + 0.95 * share / WARM_UP
    return _between(1.0, FLOOR, (share - WARM_UP) / (1 - WARM_UP))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


#: Schedules that follow a curve; of the others, only validations change the rate.
SCHEDULE_SHAPES = MappingProxyType({"one_cycle": one_cycle, "cosine": cosine})


@dataclass(frozen=True)
class Progress:
    """What validations have shown so far.

    Attributes
    ----------
    best : float
        Highest validation Dice; negative before the first.
    best_epoch : int
        When that was.
    since_better : int
        Epochs since then.
    since_reduced : int
        Epochs since then, or since the rate was last reduced.
    factor : float
        By what the rate is multiplied.
    """

    best: float = -1.0
    best_epoch: int = -1
    since_better: int = 0
    since_reduced: int = 0
    factor: float = 1.0

    def after(self, dice: float, epoch: int, schedule: Schedule) -> Progress:
        """One validation more. A figure that is not a number is no improvement.

        Examples
        --------
        >>> plan = Schedule(kind="plateau", patience=2, factor=0.5)
        >>> p = Progress().after(0.6, 0, plan).after(0.6, 1, plan).after(0.5, 2, plan)
        >>> p.best, p.best_epoch, p.since_better, p.factor
        (0.6, 0, 2, 0.5)
        """
        if dice > self.best:
            return Progress(dice, epoch, factor=self.factor)
        waited, since = self.since_reduced + 1, self.since_better + 1
        if schedule.kind == "plateau" and waited >= schedule.patience:
            factor = self.factor * schedule.factor
            return replace(self, since_better=since, since_reduced=0, factor=factor)
        return replace(self, since_better=since, since_reduced=waited)

    def is_over(self, schedule: Schedule) -> bool:
        """Whether it is time to stop early."""
        return 0 < schedule.stop_after <= self.since_better


def rate(schedule: Schedule, share: float, progress: Progress) -> float:
    """By what the highest learning rate is to be multiplied.

    Parameters
    ----------
    share : float
        How much of the training has passed, 0 … 1.
    """
    shape = SCHEDULE_SHAPES.get(schedule.kind)
    return progress.factor * (shape(share) if shape else 1.0)
