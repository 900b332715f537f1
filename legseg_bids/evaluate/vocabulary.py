"""What a model knows, beyond what it found in one image.

Tables beside label images often list only what is there, ours among them. A muscle that a model
missed is then in no table of that image; taken by its word, the miss would not count. So what a
model has found in any of its images it is held to know in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from legseg_bids.bids.reading import LARGEST_LABEL
from legseg_bids.evaluate.schemes import Scheme
from legseg_bids.evaluate.structures import key_of

#: Labels of our scheme that numbers cover, in plain values.
Vocabulary = tuple[tuple[int, ...], ...]


def vocabulary(schemes: Iterable[Scheme]) -> Vocabulary:
    """All that some schemes tell apart, the finest first.

    Examples
    --------
    >>> from legseg_bids.evaluate.schemes import scheme_of_names
    >>> vocabulary([scheme_of_names({1: "RF_L"}), scheme_of_names({7: "RF_L", 2: "SAR_L"})])
    ((61,), (63,))
    """
    covers = {tuple(sorted(covered)) for scheme in schemes for covered in scheme.covers.values()}
    return tuple(sorted(covers, key=lambda covered: (len(covered), covered)))


def knowing(scheme: Scheme, known: Vocabulary) -> Scheme:
    """Add to a scheme what else is known, under numbers that no image has.

    Parameters
    ----------
    scheme : Scheme
        Of one image.
    known : Vocabulary
        What shares a label with a number of the scheme is told there already.

    Examples
    --------
    >>> from legseg_bids.evaluate.schemes import scheme_of_names
    >>> found = knowing(scheme_of_names({1: "quadriceps_L"}), ((61,), (63,)))
    >>> dict(found.structures)
    {1: 'quadriceps_L', 65536: 'SAR_L'}
    """
    covers, structures = dict(scheme.covers), dict(scheme.structures)
    told = frozenset().union(*covers.values())
    for covered in known:
        if told.isdisjoint(covered):
            number = max(LARGEST_LABEL, *covers) + 1
            covers[number], structures[number] = frozenset(covered), key_of(covered)
            told |= frozenset(covered)
    return Scheme(scheme.name, structures, covers, scheme.unknown)
