"""How large a muscle can be: wide bounds, outside of which a label is hardly that muscle.

Each muscle has a steady share of all muscle of the leg, and that depends on height and mass:
V = 47 H M + 1285 (mL, m, kg; Handsfield et al., Journal of Biomechanics 47:631, 2014, 24 healthy
adults; shares in ``data/volume_shares.tsv``, those of pectineus and popliteus from the paper's
regressions at the mean leg). The bounds leave room for small and large people, and for wasted
and trained muscles.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from legseg_bids.anatomy.labels import label_by_index, read_table, unsided

SMALL_ADULT = (1.45, 40.0)
LARGE_ADULT = (2.05, 130.0)
"""Height (m) and mass (kg) of the people that the bounds leave room for."""
WASTED = 0.2
TRAINED = 1.5
"""What may be left of a wasted muscle, and how much larger a trained one may be."""


def leg_volume(height: float, mass: float) -> float:
    """All muscle of one leg, mL, from height (m) and mass (kg).

    Examples
    --------
    >>> round(leg_volume(1.75, 72))
    7207
    """
    return 47.0 * height * mass + 1285.0


def plausible_volume(index: int) -> tuple[float, float] | None:
    """Smallest and largest volume of a whole muscle, mL; None where nothing is known of it.

    Parameters
    ----------
    index : int
        Label index.

    Examples
    --------
    >>> low, high = plausible_volume(61)
    >>> round(low), round(high)
    (30, 785)
    """
    share = _shares().get(unsided(label_by_index(index)))
    if share is None:
        return None
    low, high = leg_volume(*SMALL_ADULT), leg_volume(*LARGE_ADULT)
    return WASTED * share * low, TRAINED * share * high


@cache
def _shares() -> MappingProxyType[str, float]:
    rows = read_table("volume_shares.tsv")
    return MappingProxyType({row["muscle"]: float(row["percent"]) / 100 for row in rows})
