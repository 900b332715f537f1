"""The parts of the leg in several stations at once.

Which part of the leg a slice shows is easier to tell when the slices above and below are known,
and the stations of a set continue each other. So the slices of all of them are ordered by their
height in the scanner, and one sequence of parts is found for all (see
:mod:`legseg_bids.segment.positions`). Stations whose positions contradict each other are looked
at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from legseg_bids.anatomy.regions import Part
from legseg_bids.imaging.stacks import MOST_SHARED, beside_share, contradictions
from legseg_bids.segment.classify import Classification
from legseg_bids.segment.locate import (
    DIRECTION_MARGIN,
    Location,
    decide,
    evidence,
    parts_alone,
)
from legseg_bids.segment.positions import PartSequence, best_sequence_at


def locate_among(name: str, stations: Mapping[str, Classification]) -> Location:
    """Find sides and parts of a station with knowledge of its neighbours.

    Parameters
    ----------
    name : str
        Which of the stations.
    stations : mapping of str to Classification
        All stations of the set, by their names; their order does not matter.

    Returns
    -------
    Location
        With a warning for each station whose position contradicts this one's.
    """
    names = sorted(stations)
    found = contradictions([stations[other].grid for other in names])
    pairs = {(names[pair.first], names[pair.second]): pair for pair in found}
    apart = {one for pair in pairs for one in pair}
    own = stations[name]
    if name in apart or len(names) == 1:
        warnings = [pair.says(*both) for both, pair in pairs.items() if name in both]
        alone = decide(own, parts_alone(own))
        return replace(alone, warnings=(*warnings, *alone.warnings))
    group = [other for other in names if other not in apart]
    sequences = parts_together([stations[other] for other in group])
    others = [stations[other] for other in group if other != name]
    return decide(
        own, sequences[group.index(name)], [other for other in others if _same_limb(own, other)]
    )


def parts_together(stations: Sequence[Classification]) -> list[PartSequence]:
    """Parts of several stations whose positions are right, found together.

    Parameters
    ----------
    stations : sequence of Classification
        One is treated as if it were alone. Of slices at one height the one of the earlier
        station counts as the lower one.

    Returns
    -------
    list of PartSequence
        One for each station; the score is that of all.
    """
    if len(stations) == 1:
        return [parts_alone(stations[0])]
    sizes = [len(seen.parts) for seen in stations]
    distance = np.concatenate([_each(seen, max(seen.grid.slice_step, 1e-6)) for seen in stations])
    heights = np.concatenate([seen.grid.heights for seen in stations])
    # Thin slices have no more say in a stretch of the leg than thick ones.
    logs = np.concatenate([evidence(seen) for seen in stations])
    logs *= (distance / distance.max())[:, None]
    order = np.argsort(heights, kind="stable")
    found = best_sequence_at(logs[order], heights[order], distance[order], DIRECTION_MARGIN)
    parts = np.empty(len(order), dtype=np.intp)
    parts[order] = [int(part) for part in found.parts]
    return [
        PartSequence(tuple(Part(int(p)) for p in own), found.direction, found.score)
        for own in np.split(parts, np.cumsum(sizes)[:-1])
    ]


def _each(seen: Classification, value: float) -> NDArray[np.float64]:
    return np.full(len(seen.parts), value)


def _same_limb(one: Classification, other: Classification) -> bool:
    """Whether two stations show a single limb each, and that in the same place."""
    return one.limbs == other.limbs == 1 and beside_share(one.grid, other.grid) > MOST_SHARED
