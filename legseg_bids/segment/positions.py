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

FILL_MM = 10.0
"""Slices further apart than this have room between them for what they do not show."""

LONGEST_GAP_MM = 1000.0
"""No more than this is filled; nothing that is longer fits between two stations of a leg."""


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
    if min_run < 0:
        raise ValueError(f"min_run is {min_run}; expected 0 or more")
    scores = _checked(log_probs)
    latest = np.maximum(np.arange(len(scores) + 1) - max(min_run, 1), -1)
    return _best_of_two(scores, latest, latest, margin, skip=min_run == 0)


def best_sequence_at(
    log_probs: ArrayLike, heights: ArrayLike, thickness: ArrayLike, margin: float = 0.0
) -> PartSequence:
    """Most probable sequence of parts of slices at given places along the leg.

    As :func:`best_sequence`, for slices that are not evenly spaced: those of several stations.
    A part that lies wholly between two others is at least 30 mm long. Where slices lie further
    apart than :data:`FILL_MM`, a part may lie between them unseen.

    Parameters
    ----------
    log_probs : array_like, shape (n, 5)
        As for :func:`best_sequence`.
    heights : array_like, shape (n,)
        Place of each slice along the leg, mm, rising; several slices may share one.
    thickness : array_like, shape (n,)
        Slice distance of the stack that each slice is from, mm.
    margin : float
        As for :func:`best_sequence`.

    Returns
    -------
    PartSequence

    Raises
    ------
    ValueError
        As for :func:`best_sequence`, or if the heights fall.

    Examples
    --------
    >>> lower, upper = np.log([.04, .84, .04, .04, .04]), np.log([.04, .04, .04, .84, .04])
    >>> seen = [lower, lower, upper, upper]
    >>> found = best_sequence_at(seen, [0, 10, 110, 120], [10] * 4)  # the knee is not in view
    >>> [part.name for part in found.parts]
    ['LOWER', 'LOWER', 'UPPER', 'UPPER']
    """
    scores = _checked(log_probs)
    places, sizes = np.asarray(heights, float), np.asarray(thickness, float)
    if places.shape != (len(scores),) or (np.diff(places) < 0).any():
        raise ValueError(f"heights {places.tolist()}; expected one for each slice, rising")
    rows, scores, places, sizes = _with_unseen(scores, places, sizes)
    up, down = _latest_starts(places, sizes), _latest_starts(-places[::-1], sizes[::-1])
    found = _best_of_two(scores, up, down, margin, skip=False)
    return PartSequence(tuple(found.parts[row] for row in rows), found.direction, found.score)


def _with_unseen(
    scores: NDArray[np.float64], heights: NDArray[np.float64], thickness: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fill gaps with slices that say nothing; first, the rows of the given ones among them."""
    rows, unseen, places, sizes = [], [], [], []
    for row, height in enumerate(heights):
        gap = min(height - heights[row - 1], LONGEST_GAP_MM) if row else 0.0
        count = max(0, int(np.ceil(gap / FILL_MM)) - 1)
        step = (height - heights[row - 1]) / (count + 1) if row else 0.0
        unseen += [True] * count + [False]
        places += [heights[row - 1] + step * (i + 1) for i in range(count)] + [height]
        sizes += [step] * count + [thickness[row]]
        rows.append(len(places) - 1)
    filled = np.zeros((len(places), scores.shape[1]))
    filled[~np.array(unseen)] = scores
    return np.array(rows), filled, np.array(places), np.array(sizes)


def _latest_starts(
    heights: NDArray[np.float64], thickness: NDArray[np.float64]
) -> NDArray[np.intp]:
    """For each end of a run (exclusive), the last slice at which an inner run may begin; or -1.

    Half a slice is allowed for, as when a whole number of slices is rounded.
    """
    bottoms, tops = heights - 0.75 * thickness, heights + 0.75 * thickness
    count = len(heights)
    allowed = bottoms[None, :] <= tops[:, None] - SHORTEST_PART_MM
    allowed &= np.arange(count)[None, :] <= np.arange(count)[:, None]
    latest = count - 1 - allowed[:, ::-1].argmax(axis=1)
    latest[~allowed.any(axis=1)] = -1
    return np.concatenate([[-1], latest])


def _best_of_two(
    scores: NDArray[np.float64],
    latest_up: NDArray[np.intp],
    latest_down: NDArray[np.intp],
    margin: float,
    *,
    skip: bool,
) -> PartSequence:
    """The better of rising and falling; see :func:`_best_rising` for the starts."""
    rising, up = _best_rising(scores, latest_up, skip=skip)
    falling, down = _best_rising(scores[::-1], latest_down, skip=skip)
    if down > up + margin and falling[0] != falling[-1]:
        return PartSequence(tuple(Part(c) for c in reversed(falling)), -1, down)
    return PartSequence(tuple(Part(c) for c in rising), 1, up)


def _checked(log_probs: ArrayLike) -> NDArray[np.float64]:
    scores = np.asarray(log_probs, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != len(Part) or not len(scores):
        raise ValueError(f"log_probs have shape {scores.shape}; expected (n > 0, {len(Part)})")
    if not np.isfinite(scores).all():
        raise ValueError("log_probs hold values that are not finite; clip them first")
    return scores


def _best_rising(
    scores: NDArray[np.float64], latest: NDArray[np.intp], *, skip: bool
) -> tuple[list[int], float]:
    """Best rising sequence and its score.

    ``latest[e]`` is the last slice at which an inner run that ends before slice e may begin, or
    negative if none is long enough; with `skip`, parts may be missing between two others.

    ``total[c, e]`` is the score of part c in slices 0 ... e-1. ``closed[c, e]`` is the best
    score of slices 0 ... e-1 when a run of part c ends at e and another one follows.
    Taken part by part, each needs only the running maximum over where its run may start.
    """
    n, count = scores.shape
    total = np.zeros((count, n + 1))
    np.cumsum(scores.T, axis=1, out=total[:, 1:])
    closed = np.full((count, n + 1), -np.inf)
    origin = np.zeros((count, n + 1), dtype=np.intp)  # start of the run that ends at e
    long_enough = latest >= 0
    finals: list[tuple[float, int, int]] = []  # score, part, start of the last run
    for part in range(count):
        before = _ways_in(closed, part, skip=skip) - total[part]
        start, gain = _running_best(before)
        closed[part, 1:] = total[part, 1:]  # the stack begins with this part
        inner = np.where(long_enough, gain[latest] + total[part], -np.inf)
        better = inner > closed[part]
        closed[part][better] = inner[better]
        origin[part][better] = start[latest][better]
        finals.append((float(total[part, n]), part, 0))
        if n > 1:
            finals.append((float(gain[n - 1] + total[part, n]), part, int(start[n - 1])))
    score, part, begin = max(finals, key=lambda final: final[0])
    return _trace_back(closed, origin, part, begin, n, skip=skip), score


def _ways_in(closed: NDArray[np.float64], part: int, *, skip: bool) -> NDArray[np.float64]:
    """Best score of everything before a run of `part`, for each start of that run."""
    if part == 0:
        return np.full(closed.shape[1], -np.inf)
    if skip:
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
    *,
    skip: bool,
) -> list[int]:
    """The sequence whose last run is `part` in slices `begin` ... `end` - 1."""
    runs: list[tuple[int, int]] = []
    while True:
        runs.append((part, end - begin))
        if begin == 0:
            break
        end = begin
        part = int(closed[:part, end].argmax()) if skip else part - 1
        begin = int(origin[part, end])
    return _spell(runs[::-1])


def _spell(runs: Sequence[tuple[int, int]]) -> list[int]:
    return [part for part, length in runs for _ in range(length)]
