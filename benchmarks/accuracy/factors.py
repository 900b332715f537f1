"""What is varied in the curves, one factor at a time: a table with a line for each.

Everything else stays as in a healthy, ordinary scan: pixels of 1.25 mm, slices 6 mm apart, noise
of 2 %, 150 mm in view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

from benchmarks.accuracy.cases import AS_SCANNED, NOWHERE, STILL, WELL, Case, ill
from benchmarks.accuracy.stored import WAYS
from legseg_bids.evaluate.trials import Setting

#: A healthy, ordinary trial without a large turn.
PLAIN = Case("", "", Setting(), replace(WELL, **STILL))


@dataclass(frozen=True)
class Factor:
    """One thing that gets worse.

    Attributes
    ----------
    name : str
        In tables.
    title : str
        In figures, with its unit.
    values : sequence
        From easy to hard, as far as there is such an order.
    changed : callable
        From a plain case and a value to the case with it.
    """

    name: str
    title: str
    values: Sequence[Any]
    changed: Callable[[Case, Any], Case]

    def cases(self) -> list[Case]:
        """One case for each value."""
        return [
            replace(self.changed(PLAIN, value), factor=self.name, value=_text(value))
            for value in self.values
        ]


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def scanned(name: str) -> Callable[[Case, Any], Case]:
    """Change one value of the scan."""
    return lambda case, value: replace(case, setting=replace(case.setting, **{name: value}))


def _slices(case: Case, number: int) -> Case:
    setting = case.setting
    return replace(case, setting=replace(setting, coverage=number * setting.slice_distance))


def _fat(case: Case, fraction: float) -> Case:
    return replace(case, ranges=replace(ill(fraction, fraction, 0.0), **STILL))


def person(name: str) -> Callable[[Case, Any], Case]:
    """Set both ends of a range of the person, or a single value."""

    def changed(case: Case, value: float) -> Case:
        pair = isinstance(getattr(case.ranges, name), tuple)
        new: Any = (value, value) if pair else value
        return replace(case, ranges=replace(case.ranges, **{name: new}))

    return changed


def _swap(case: Case, share: float) -> Case:
    """About this share of the image: where a field of unit variance exceeds a threshold."""
    threshold = NormalDist().inv_cdf(1 - share) if share else NOWHERE
    return person("swap_threshold")(case, threshold)


def _stored(case: Case, way: str) -> Case:
    return case if way == AS_SCANNED else replace(case, stored=way)


FACTORS = (
    Factor("slice_distance", "slice distance, mm", (3, 6, 12, 18, 24), scanned("slice_distance")),
    Factor("pixel", "pixel, mm", (0.7, 1.25, 2, 3), scanned("pixel")),
    Factor("noise", "noise, of muscle signal", (0.01, 0.02, 0.03, 0.06, 0.1), scanned("noise")),
    Factor("fat", "fat, worst muscle", (0, 0.3, 0.6, 0.9), _fat),
    Factor("shading", "coil shading, log sigma", (0, 0.2, 0.4, 0.6), scanned("shading")),
    Factor("slices", "slices in view", (25, 12, 6, 3), _slices),
    Factor("rotation", "turn, up to, °", (0, 15, 30, 45), person("large_rotation")),
    Factor("stored", "axes of the file", (AS_SCANNED, *WAYS), _stored),
    Factor("wrapped", "wrap-around, share", (0, 0.2, 0.3, 0.4), scanned("wrapped")),
    Factor("ghosts", "motion ghosts, strength", (0, 0.05, 0.1, 0.2), scanned("ghosts")),
    Factor("resolved", "ringing, frequencies kept", (1, 0.7, 0.5, 0.35), scanned("resolved")),
    Factor("lost", "lost slices, share", (0, 0.1, 0.3), scanned("lost")),
    Factor("implant", "metal, void, mm", (0, 10, 20, 35), person("implant_radius")),
    Factor("swap", "fat-water swap, share", (0, 0.07, 0.2, 0.4), _swap),
    Factor("oedema", "oedema, brighter by", (0, 0.3, 0.7), person("oedema")),
    Factor("pressed", "pressed flat, ratio", (1, 1.5, 2.5), person("pressed_ratio")),
    Factor("child", "size of the limb", (1, 0.85, 0.7, 0.55), person("child_scale")),
)


def factor_titles() -> dict[str, str]:
    """Name → title."""
    return {factor.name: factor.title for factor in FACTORS}
