"""What is known after a comparison: what statistics found, and what figures and page show."""

from __future__ import annotations

from dataclasses import dataclass

from legseg_bids.evaluate.groups import Groupings
from legseg_bids.evaluate.observations import Observations
from legseg_bids.evaluate.outcomes import Outcome
from legseg_bids.evaluate.summaries import Agreed, Summary


@dataclass(frozen=True, eq=False)
class Compared:
    """All that is known after a comparison.

    Attributes
    ----------
    seen : Observations
        What was measured.
    raters : Observations or None
        A second rater against the first.
    groupings : Groupings
        Groups of participants.
    summaries : tuple of Summary
    tests : tuple of Outcome
    agreed : tuple of Agreed
    """

    seen: Observations
    raters: Observations | None
    groupings: Groupings
    summaries: tuple[Summary, ...]
    tests: tuple[Outcome, ...]
    agreed: tuple[Agreed, ...]
