"""In what a network that was made elsewhere differs from ours, as data.

Ours see one left limb (right ones mirrored) as (1, 1, z, y, x), from foot to head, back to front,
left to right, and answer with logits of the same axes. What differs stands in a bundle's metadata
as ``legseg.convention``; a bundle without that object is one of ours, and nothing here touches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from legseg_bids.imaging.scaling import SCALINGS, Scaling

VIEWS = ("limb", "stack")
OUTPUTS = ("logits", "probabilities")
_PAIRS = ("IS", "PA", "LR")
"""Directions of our own axes z, y, x: from the first letter to the second."""
_WORDS = ("name", "masked")


@dataclass(frozen=True)
class Convention:
    """What a network expects; the defaults are what ours expect.

    Attributes
    ----------
    view : str
        ``limb``: one limb at a time, names without a side. ``stack``: whole slices, with all
        limbs in view as they lie, and a channel for each side.
    mirror : bool
        Whether right limbs are mirrored into left ones (only with ``limb``).
    orientation : str
        Where the network's spatial axes D, H and W lead to, one letter each of RLAPSI.
    input_layout, output_layout : str
        Order of the axes: N batch, C channels, D, H, W. Without N there is no batch axis,
        without D the network sees one slice at a time.
    output : str
        ``logits`` or ``probabilities``.
    scaling : Scaling
        Of the intensities.
    native_spacing : bool
        Whether it is fed the voxels of the image instead of voxels of its own size.
    fixed : bool
        Whether every patch has exactly the size ``patch``.
    """

    view: str = "limb"
    mirror: bool = True
    orientation: str = "SAR"
    input_layout: str = "NCDHW"
    output_layout: str = "NCDHW"
    output: str = "logits"
    scaling: Scaling = field(default_factory=Scaling)
    native_spacing: bool = False
    fixed: bool = False

    def __post_init__(self) -> None:
        _require("view", self.view, self.view in VIEWS, f"one of {', '.join(VIEWS)}")
        _require("output", self.output, self.output in OUTPUTS, " or ".join(OUTPUTS))
        name = self.scaling.name
        _require("scaling.name", name, name in SCALINGS, f"one of {', '.join(SCALINGS)}")
        axes_of(self.orientation)
        for key in ("input_layout", "output_layout"):
            layout = getattr(self, key)
            fits = sorted(layout) in [sorted(a) for a in ("NCDHW", "CDHW", "NCHW", "CHW")]
            _require(key, layout, fits, "the letters NCDHW, without N or without D if need be")
        flat = ["D" in layout for layout in (self.input_layout, self.output_layout)]
        _require("output_layout", self.output_layout, len(set(flat)) == 1, "D in both or none")


def read_convention(told: Mapping[str, Any]) -> Convention:
    """Convention from the metadata.

    Parameters
    ----------
    told : Mapping
        The object ``legseg.convention``; whatever it lacks is as in our own networks.

    Raises
    ------
    ValueError
        If a key or a value is unknown.

    Examples
    --------
    >>> read_convention({}) == Convention()
    True
    >>> read_convention({"orientation": "SPL", "scaling": {"name": "zscore"}}).scaling.name
    'zscore'
    """
    values = dict(told)
    scaling = values.pop("scaling", {})
    _only("scaling", scaling, Scaling)
    _only("convention", values, Convention)
    for key in ("mirror", "native_spacing", "fixed"):
        _require(key, values.get(key), isinstance(values.get(key, True), bool), "true or false")
    typed: dict[str, Any] = {
        key: value if key in _WORDS else float(value) for key, value in scaling.items()
    }
    return Convention(scaling=Scaling(**typed), **values)


def axes_of(orientation: str) -> tuple[tuple[int, bool], ...]:
    """For each spatial axis of a network: which of ours (z, y, x) it is, and whether turned round.

    Raises
    ------
    ValueError
        If it is not one letter of each of the pairs RL, AP, SI.

    Examples
    --------
    >>> axes_of("SAR"), axes_of("SPL")
    (((0, False), (1, False), (2, False)), ((0, False), (1, True), (2, True)))
    """
    found = []
    for letter in orientation:
        axis = next((i for i, pair in enumerate(_PAIRS) if letter in pair), None)
        if axis is not None:
            found.append((axis, letter == _PAIRS[axis][0]))
    fits = len(orientation) == 3 and sorted(axis for axis, _ in found) == [0, 1, 2]
    _require("orientation", orientation, fits, "three letters, one each of RL, AP and SI")
    return tuple(found)


def _only(key: str, told: Mapping[str, Any], kind: type[Any]) -> None:
    known = {each.name for each in fields(kind)}
    odd = sorted(set(told) - known)
    if odd:
        raise ValueError(f"legseg.{key} has {', '.join(odd)}, expected {', '.join(sorted(known))}")


def _require(key: str, value: object, fits: bool, expected: str) -> None:
    if not fits:
        raise ValueError(f"legseg.convention.{key} is {value!r}, expected {expected}")
