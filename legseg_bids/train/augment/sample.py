"""An image with its labels, as augmentation sees them, and which labels are left and right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from legseg_bids.anatomy.labels import load_labels, mirror_index
from legseg_bids.errors import UsageError


@dataclass(frozen=True)
class Sample:
    """One image and its labels on one grid.

    Attributes
    ----------
    image : Tensor of float32, shape (c, z, y, x)
        Magnitudes, air about 0. Canonical axes in the order of networks: z from the feet up, y
        from back to front, x from the patient's left to the right.
    labels : Tensor of int64, shape (z, y, x)
        Numbers of structures; 0 is background, -1 unknown.
    spacing : tuple of float
        Distance of the voxels along z, y, x, mm.
    """

    image: Tensor
    labels: Tensor
    spacing: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.image.ndim != 4 or self.image.shape[1:] != self.labels.shape:
            msg = (
                f"image {tuple(self.image.shape)} and labels {tuple(self.labels.shape)} do not "
                "fit; expected (channels, z, y, x) and (z, y, x) on one grid"
            )
            raise UsageError(msg)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""
        z, y, x = self.labels.shape
        return int(z), int(y), int(x)


@dataclass(frozen=True)
class Sides:
    """Which label is the same structure on the other side.

    Attributes
    ----------
    partner : mapping of int to int
        Of every label that may occur; unpaired structures are their own partner.
    left, right : frozenset of int
        Labels of each side.
    """

    partner: Mapping[int, int]
    left: frozenset[int]
    right: frozenset[int]

    def mirrored(self, labels: Tensor) -> Tensor:
        """Every label changed into its partner; background and unknown voxels stay.

        Raises
        ------
        UsageError
            If a label is not in the table: it might have a side.

        Examples
        --------
        >>> sides_of_scheme().mirrored(torch.tensor([-1, 0, 61, 62, 151]))
        tensor([ -1,   0,  62,  61, 151])
        """
        out = labels.clone()
        for value in torch.unique(labels).tolist():
            if value <= 0:
                continue
            if value not in self.partner:
                msg = (
                    f"label {value} has no partner in the table of sides; expected every label "
                    "there, unpaired ones as their own partner; add it, or leave out mirror"
                )
                raise UsageError(msg)
            out[labels == value] = self.partner[value]
        return out


def sides_of_scheme() -> Sides:
    """The sides of the label scheme (``anatomy/data/labels.tsv``)."""
    labels = load_labels()
    return Sides(
        {entry.index: mirror_index(entry.index) for entry in labels},
        frozenset(entry.index for entry in labels if entry.side == "left"),
        frozenset(entry.index for entry in labels if entry.side == "right"),
    )
