"""Best sequence of leg parts along a stack, by exact dynamic programming.

A classifier looks at every slice on its own and errs on some. A leg does not jump: going
through a stack, its parts follow one another in one direction. Among all sequences that
obey this, :func:`best_sequence` returns the most probable one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from legseg_bids.anatomy.regions import Part

SHORTEST_PART_MM = 30.0
"""Least extent along the leg of a part that begins and ends inside the stack. The knee is
the shortest part; about 100 mm in an adult, so this leaves room for children and for a
classifier that sees it late."""


@dataclass(frozen=True)
class PartSequence:
    """Parts of a stack, slice by slice.

    Attributes
    ----------
    parts : tuple of Part
        One per slice, in the order of the stack.
    direction : int
        +1 when the parts rise from foot to hip with the slice index, -1 when they fall.
        A stack of one part only has direction +1.
    score : float
        Sum of the log-probabilities along the sequence.
    """

    parts: tuple[Part, ...]
    direction: int
    score: float


def shortest_run(slice_distance: float) -> int:
    """Least number of slices of a part that lies wholly inside the stack.

    Parameters
    ----------
    slice_distance : float
        Distance between neighbouring slice centres, mm.

    Returns
    -------
    int
        At least 1; 0 when slices lie so far apart that one may step over a whole part.

    Examples
    --------
    >>> shortest_run(6.0), shortest_run(24.0), shortest_run(40.0)
    (5, 1, 0)
    """
    if slice_distance <= 0:
        raise ValueError(f"slice distance is {slice_distance}; expected mm above zero")
    if slice_distance > SHORTEST_PART_MM:
        return 0
    return max(1, round(SHORTEST_PART_MM / slice_distance))


def best_sequence(log_probs: ArrayLike, min_run: int, margin: float = 0.0) -> PartSequence:
    """Most probable sequence of parts that runs through the leg in one direction.

    Neighbouring runs are neighbouring parts. A run with other runs on both sides has at
    least `min_run` slices; the first and the last run may be shorter, for the field of
    view cuts them. With `min_run` 0 a part between two others may be missing altogether.

    Parameters
    ----------
    log_probs : array_like, shape (n, 5)
        Log-probability of each part (order of :class:`Part`) in each slice; finite.
    min_run : int
        Least length of an inner run, slices.
    margin : float
        The falling direction is chosen only if it scores better than the rising one by
        more than this (nats): the affine is right until there is evidence against it.

    Returns
    -------
    PartSequence

    Raises
    ------
    ValueError
        If the shape is wrong, the stack is empty, or a value is not finite.

    Examples
    --------
    >>> best_sequence(np.log([[.1, .7, .1, .05, .05], [.1, .1, .6, .1, .1]]), 2).parts
    (<Part.LOWER: 1>, <Part.KNEE: 2>)
    """
    scores = _checked(log_probs, min_run)
    rising, up = _best_rising(scores, min_run)
    falling, down = _best_rising(scores[::-1], min_run)
    if down > up + margin and falling[0] != falling[-1]:
        return PartSequence(tuple(Part(c) for c in reversed(falling)), -1, down)
    return PartSequence(tuple(Part(c) for c in rising), 1, up)


def _checked(log_probs: ArrayLike, min_run: int) -> NDArray[np.float64]:
    scores = np.asarray(log_probs, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != len(Part) or not len(scores):
        raise ValueError(f"log_probs have shape {scores.shape}; expected (n > 0, {len(Part)})")
    if not np.isfinite(scores).all():
        raise ValueError("log_probs hold values that are not finite; clip them first")
    if min_run < 0:
        raise ValueError(f"min_run is {min_run}; expected 0 or more")
    return scores


def _best_rising(scores: NDArray[np.float64], min_run: int) -> tuple[list[int], float]:
    """Best rising sequence and its score.

    ``total[c, e]`` is the score of part c in slices 0 ... e-1. ``closed[c, e]`` is the best
    score of slices 0 ... e-1 when a run of part c ends at e and another one follows.
    Taken part by part, each needs only the running maximum over where its run may start.
    """
    n, count = scores.shape
    total = np.zeros((count, n + 1))
    np.cumsum(scores.T, axis=1, out=total[:, 1:])
    closed = np.full((count, n + 1), -np.inf)
    origin = np.zeros((count, n + 1), dtype=np.intp)  # start of the run that ends at e
    finals: list[tuple[float, int, int]] = []  # score, part, start of the last run
    for part in range(count):
        before = _ways_in(closed, part, min_run) - total[part]
        start, gain = _running_best(before)
        closed[part, 1:] = total[part, 1:]  # the stack begins with this part
        run = min(max(min_run, 1), n + 1)
        inner = gain[: n + 1 - run] + total[part, run:]
        better = inner > closed[part, run:]
        closed[part, run:][better] = inner[better]
        origin[part, run:][better] = start[: n + 1 - run][better]
        finals.append((float(total[part, n]), part, 0))
        if n > 1:
            finals.append((float(gain[n - 1] + total[part, n]), part, int(start[n - 1])))
    score, part, begin = max(finals, key=lambda final: final[0])
    return _trace_back(closed, origin, part, begin, n, min_run), score


def _ways_in(closed: NDArray[np.float64], part: int, min_run: int) -> NDArray[np.float64]:
    """Best score of everything before a run of `part`, for each start of that run."""
    if part == 0:
        return np.full(closed.shape[1], -np.inf)
    if min_run == 0:
        return np.asarray(closed[:part].max(axis=0))
    return np.asarray(closed[part - 1])


def _running_best(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each position, where the largest value up to it stands (first one), and it."""
    best = np.maximum.accumulate(values)
    is_new = np.ones(len(values), dtype=bool)
    is_new[1:] = best[1:] > best[:-1]
    last_new = np.where(is_new, np.arange(len(values)), 0)
    return np.asarray(np.maximum.accumulate(last_new)), best


def _trace_back(
    closed: NDArray[np.float64],
    origin: NDArray[np.intp],
    part: int,
    begin: int,
    end: int,
    min_run: int,
) -> list[int]:
    """The sequence whose last run is `part` in slices `begin` ... `end` - 1."""
    runs: list[tuple[int, int]] = []
    while True:
        runs.append((part, end - begin))
        if begin == 0:
            break
        end = begin
        part = int(closed[:part, end].argmax()) if min_run == 0 else part - 1
        begin = int(origin[part, end])
    return _spell(runs[::-1])


def _spell(runs: Sequence[tuple[int, int]]) -> list[int]:
    return [part for part, length in runs for _ in range(length)]
