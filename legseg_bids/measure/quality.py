"""How far the numbers of a structure can be trusted, in one word and with reasons.

``good``
    Nothing speaks against them.
``check``
    They are as they should be, but do not mean what a reader may think: something lies out of
    view, or the sides differ more than those of healthy people do.
``poor``
    Something speaks against the label itself: look at it before the numbers are used.
"""

from __future__ import annotations

from dataclasses import dataclass

from legseg_bids.anatomy.plausible import plausible_volume

GOOD, CHECK, POOR = "good", "check", "poor"
LOWEST_CONFIDENCE = 0.7
"""Mean probability below which a label is not trusted: on simulated people such labels have a Dice
coefficient of less than 0.5 on average (:func:`legseg_bids.measure.trust.predict_dice`)."""
LEAST_IN_ONE_PIECE = 0.8
"""Share of a muscle's voxels that hang together, at least."""
LARGEST_ASYMMETRY = 35.0
"""%. Sides of the least symmetrical of the healthy muscles that were compared, the short head of
the biceps femoris, differ by up to 33.5 % (95 % limits of agreement; Kulas et al., Journal of
Orthopaedic Research 36:963, 2018)."""


@dataclass(frozen=True)
class Look:
    """What a judgement is made from; None where it is not known or does not apply.

    Attributes
    ----------
    index : int
        Label.
    volume : float
        mL.
    truncated : str
        As in the table of labels.
    cut_in_plane : bool
        It reaches the border of the image within a slice.
    confidence : float or None
        Mean probability.
    largest_piece : float or None
        Share of its voxels that hang together.
    asymmetry : float or None
        %.
    """

    index: int
    volume: float
    truncated: str
    cut_in_plane: bool
    confidence: float | None
    largest_piece: float | None
    asymmetry: float | None


def judge(look: Look) -> tuple[str, str]:
    """Judge a label.

    Returns
    -------
    quality : str
        ``good``, ``check`` or ``poor``.
    reasons : str
        Separated by ``"; "``; empty if it is good.

    Examples
    --------
    >>> judge(Look(61, 250.0, "distal", False, 0.6, 1.0, None))
    ('poor', 'low confidence; truncated distal')
    """
    doubts, notes = _doubts(look), _notes(look)
    quality = POOR if doubts else CHECK if notes else GOOD
    return quality, "; ".join([*doubts, *notes])


def worst(qualities: list[str]) -> str:
    """The worst of several judgements.

    Examples
    --------
    >>> worst(["good", "poor", "check"]), worst([])
    ('poor', 'good')
    """
    return max(qualities, key=(GOOD, CHECK, POOR).index, default=GOOD)


def _doubts(look: Look) -> list[str]:
    bounds = plausible_volume(look.index)
    # What is cut may be as small as it likes.
    whole = look.truncated == "none" and not look.cut_in_plane
    found = {
        "low confidence": look.confidence is not None and look.confidence < LOWEST_CONFIDENCE,
        "implausible volume": bounds is not None
        and (look.volume > bounds[1] or (whole and look.volume < bounds[0])),
        "fragmented": look.largest_piece is not None and look.largest_piece < LEAST_IN_ONE_PIECE,
    }
    return [reason for reason, holds in found.items() if holds]


def _notes(look: Look) -> list[str]:
    found = {
        f"truncated {_spelt(look.truncated)}": look.truncated != "none",
        "cut in plane": look.cut_in_plane,
        "asymmetric": look.asymmetry is not None and abs(look.asymmetry) > LARGEST_ASYMMETRY,
    }
    return [reason for reason, holds in found.items() if holds]


def _spelt(truncated: str) -> str:
    return {"both": "at both ends", "gap": "by a gap"}.get(truncated, truncated)
