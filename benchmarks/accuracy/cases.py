"""Kinds of trials: how a limb is scanned, how ill its muscles are, how its file is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from legseg_bids.evaluate.trials import Setting
from legseg_bids.synth.draws import Draw
from legseg_bids.synth.ranges import Ranges

#: Adults without metal or oedema, whose water and fat images are not swapped. At the hip the image
#: ends near the body's middle, where the application cuts; elsewhere the limb is all in view.
PLAIN_PEOPLE = replace(
    Ranges(),
    child_probability=0.0,
    pressed_probability=0.0,
    edge_probability=0.0,
    hip_edge_probability=1.0,
    oedema_probability=0.0,
    implant_probability=0.0,
    swap_probability=0.0,
)
#: Healthy people.
WELL = replace(PLAIN_PEOPLE, disease_probability=0.0, atrophy_probability=0.0)
#: Threshold that no smooth field of unit variance exceeds.
NOWHERE = 99.0
#: Neither a large turn of the limb nor any of the above; but all of it is drawn, with no strength,
#: so that everything else of a person stays as it is when one strength is not nought.
STILL: Mapping[str, Any] = {
    "large_rotation_probability": 1.0,
    "large_rotation": 0.0,
    "child_probability": 1.0,
    "child_scale": (1.0, 1.0),
    "pressed_probability": 1.0,
    "pressed_ratio": (1.0, 1.0),
    "oedema_probability": 1.0,
    "oedema": (0.0, 0.0),
    "implant_probability": 1.0,
    "implant_radius": (0.0, 0.0),
    "swap_probability": 1.0,
    "swap_threshold": (NOWHERE, NOWHERE),
}
#: A file whose axes are those of the body, in its order.
AS_SCANNED = "as scanned"


@dataclass(frozen=True)
class Case:
    """One kind of trial.

    Attributes
    ----------
    factor, value : str
        What it is a value of, for its rows.
    setting : Setting
        The scan.
    ranges : Ranges
        The person.
    stored : str or None
        How the file is stored, one of :data:`.stored.WAYS`; None: no file is written.
    """

    factor: str
    value: str
    setting: Setting = field(default_factory=Setting)
    ranges: Ranges = WELL
    stored: str | None = None

    @property
    def name(self) -> str:
        """Unique within a study."""
        return f"{self.factor} {self.value}"


def ill(low: float, high: float, atrophy: float) -> Ranges:
    """Patients whose worst muscle has a fat fraction between two values."""
    return replace(
        PLAIN_PEOPLE,
        disease_probability=1.0,
        diseased_fat=(low, high),
        atrophy_probability=atrophy,
    )


def _band(name: str, setting: Setting, ranges: Ranges = WELL) -> Case:
    return Case("band", name, setting, ranges)


#: Five bands of difficulty.
BANDS = (
    _band("1 healthy, fine", Setting(1.0, 5.0, noise=0.01, shading=0.1)),
    _band("2 healthy, ordinary", Setting(1.25, 7.0, noise=0.02)),
    _band("3 mild fat", Setting(1.25, 8.0, noise=0.03), ill(0.1, 0.4, 0.3)),
    _band("4 moderate fat", Setting(1.5, 12.0, noise=0.04, shading=0.3), ill(0.4, 0.7, 0.6)),
    _band("5 severe fat", Setting(1.5, 18.0, noise=0.06, shading=0.4), ill(0.7, 0.95, 0.8)),
)


def mixed(seed: int) -> Case:
    """Anything from easy to beyond what was trained on."""
    draw = Draw(seed)
    setting = Setting(
        pixel=draw.uniform(0.9, 2.2),
        slice_distance=draw.log_uniform(4.0, 24.0),
        coverage=draw.uniform(60.0, 200.0),
        noise=draw.log_uniform(0.008, 0.08),
        shading=draw.uniform(0.05, 0.45),
    )
    worst = draw.uniform(0.0, 0.95)
    ranges = WELL if draw.chance(0.25) else ill(worst, worst, 0.5)
    return Case("mixed", "", setting, ranges)
