"""A bundle for the hip beside those of ``tiny_models``: it labels by brightness, too."""

from __future__ import annotations

from pathlib import Path

from tiny_models import _by_brightness, _segmentation_facts, _write, write_models

GLUTEUS_MEDIUS, SACRUM = 73, 121
"""Labels of what is medium grey, and of what is bright."""


def write_hip_models(folder: Path) -> Path:
    """Write the bundles locator, thigh, lower_leg and hip; every slice is hip.

    The networks are equally sure of all that they label.
    """
    write_models(folder, part="hip")
    facts = _segmentation_facts("thigh", "hip") | {"channels": [0, GLUTEUS_MEDIUS, SACRUM]}
    _write(folder / "hip", _by_brightness(), facts)
    return folder
