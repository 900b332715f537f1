"""Small studies for tests of the group level: made of numbers, without files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from legseg_bids.group.study import Study, StudyBuilder


def measured(
    abbreviation: str, volume: float, session: str = "n/a", **changes: object
) -> dict[str, str]:
    """One row of the long table."""
    side = {"L": "left", "R": "right"}[abbreviation[-1]]
    row = {
        "session_id": session, "image": f"sub-1/anat/{session}_seg-muscles_dseg.nii.gz",
        "kind": "muscle", "abbreviation": abbreviation, "side": side, "volume": volume,
        "truncated": "none", "quality": "good", **changes,
    }  # fmt: skip
    return {name: str(value) for name, value in row.items()}


def simulated(participants: int = 20, sessions: Sequence[str] = ("n/a",)) -> Study:
    """A study of two muscles and a compartment of both sides, with volume and fat fraction."""
    rng = np.random.default_rng(0)
    builder = StudyBuilder()
    for number in range(participants):
        rows = []
        for session in sessions:
            for key in ("RF_L", "RF_R", "SOL_L", "SOL_R", "quadriceps_L", "quadriceps_R"):
                rows.append(
                    measured(
                        key,
                        round(200 + 20 * rng.normal(), 3),
                        session,
                        kind="compartment" if key.startswith("quad") else "muscle",
                        mean_fat_fraction=round(abs(rng.normal(0.1, 0.02)), 4),
                    )
                )
        builder.add(f"sub-{number:02d}", rows)
    return builder.build()
