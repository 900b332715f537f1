"""Augmentations by name: read from a table, drawn from a seed, applied with one resampling."""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from legseg_bids.errors import UsageError
from legseg_bids.synth.draws import Draw
from legseg_bids.train.augment import intensity, spatial
from legseg_bids.train.augment.limbs import Limbs
from legseg_bids.train.augment.sample import Sample, Sides, sides_of_scheme


@dataclass(frozen=True)
class Mirror:
    """Left becomes right; every label becomes that of the other side."""

    probability: float = 0.5


#: Every augmentation that a recipe may name, in the order in which it acts on the image.
KINDS: Mapping[str, Any] = MappingProxyType(
    {
        "mirror": Mirror,
        "limbs": Limbs,
        "skew": spatial.Skew,
        "scale": spatial.Scale,
        "rotation": spatial.Rotation,
        "translation": spatial.Translation,
        "piecewise_affine": spatial.PiecewiseAffine,
        "elastic": spatial.Elastic,
        "blur": intensity.Blur,
        "sharpen": intensity.Sharpen,
        "contrast": intensity.Contrast,
        "brightness": intensity.Brightness,
        "rician": intensity.Rician,
        "salt_and_pepper": intensity.SaltAndPepper,
    }
)


@dataclass(frozen=True)
class Augmentation:
    """A choice of augmentations with their ranges.

    Attributes
    ----------
    steps : mapping of str to object
        The ranges of each augmentation, by its name in :data:`KINDS`.
    """

    steps: Mapping[str, Any]

    def apply(self, sample: Sample, seed: int, sides: Sides | None = None) -> Sample:
        """Augment a sample: a pure function of its arguments.

        Each augmentation draws from numbers of its own, so that adding or leaving out one does
        not change the others.

        Parameters
        ----------
        sample : Sample
            Left as it is.
        seed : int
            Not negative.
        sides : Sides, optional
            Which labels are left and right; those of the label scheme by default.

        Returns
        -------
        Sample
            Same grid. Moved once: images linearly, labels by the nearest voxel.
        """
        sides = sides_of_scheme() if sides is None else sides
        drawn = [
            (name, KINDS[name], self.steps[name], draw)
            for name in KINDS
            if name in self.steps
            and (draw := _draw(seed, name)).chance(self.steps[name].probability)
        ]
        if any(name == "mirror" for name, *_ in drawn):
            sample = mirrored(sample, sides)
        backward = [
            step.draw(draw, sample, sides) for _, _, step, draw in drawn if hasattr(step, "draw")
        ]
        if backward:
            at = spatial.places(sample)
            for step in reversed(backward):
                at = step(at)
            sample = spatial.resampled(sample, at)
        image = sample.image
        for _, _, step, draw in drawn:
            if hasattr(step, "change"):
                image = step.change(image, draw)
        return Sample(image, sample.labels, sample.spacing)


def _draw(seed: int, name: str) -> Draw:
    # PyTorch's generator keeps 32 bits of its seed only, so both must be mixed into these.
    return Draw(zlib.crc32(f"{name} {seed}".encode()))


def mirrored(sample: Sample, sides: Sides) -> Sample:
    """The patient's mirror image: x reversed, labels exchanged. Nothing is resampled."""
    labels = sides.mirrored(sample.labels.flip(-1))
    return Sample(sample.image.flip(-1), labels, sample.spacing)


def random_patch(
    sample: Sample, size: tuple[int, int, int], seed: int, on_labels: float = 0.5
) -> Sample:
    """Cut a patch out, after augmentation.

    Parameters
    ----------
    size : tuple of int
        Voxels along z, y, x. Where the image is smaller, air is put around it.
    seed : int
        Not negative.
    on_labels : float
        How often the patch is laid around a labelled voxel, so that empty ones are rare.

    Returns
    -------
    Sample
        Of the given size.
    """
    draw = _draw(seed, "patch")
    sample = _padded(sample, size)
    there = torch.nonzero(sample.labels > 0)
    aimed = draw.chance(on_labels) and len(there) > 0
    aim = there[draw.integer(0, len(there))].tolist() if aimed else None
    starts = []
    for axis, (have, want) in enumerate(zip(sample.shape, size, strict=True)):
        low, high = 0, have - want
        if aim is not None:
            low, high = max(low, aim[axis] - want + 1), min(high, aim[axis])
        starts.append(draw.integer(low, high + 1))
    cut = tuple(slice(a, a + n) for a, n in zip(starts, size, strict=True))
    return Sample(sample.image[:, *cut], sample.labels[cut], sample.spacing)


def _padded(sample: Sample, size: tuple[int, int, int]) -> Sample:
    missing = [max(want - have, 0) for have, want in zip(sample.shape, size, strict=True)]
    if not any(missing):
        return sample
    around = [n for m in reversed(missing) for n in (m // 2, m - m // 2)]

    def pad(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values, around)

    return Sample(pad(sample.image), pad(sample.labels), sample.spacing)


def shipped_augmentations() -> tuple[str, ...]:
    """Names of the tables that come with the package.

    Examples
    --------
    >>> shipped_augmentations()
    ('legs', 'qmritools')
    """
    folder = resources.files("legseg_bids.train.augment") / "data"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_augmentation(name: str) -> Augmentation:
    """A shipped table by name, or the tables ``[augment.…]`` of a TOML file.

    Raises
    ------
    UsageError
        If there is neither, or the table cannot be read.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        text = path.read_text(encoding="utf-8")
    elif name in shipped_augmentations():
        folder = resources.files("legseg_bids.train.augment") / "data"
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    else:
        known = ", ".join(shipped_augmentations())
        raise UsageError(f"no augmentation {name!r}; expected a .toml file or one of {known}")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"cannot read {name}: {error}; expected a TOML file") from error
    if not isinstance(table.get("augment"), dict):
        raise UsageError(f"{name} has no table [augment.…]; expected one for each augmentation")
    return read_augmentation(table["augment"])


def read_augmentation(table: Mapping[str, Mapping[str, Any]]) -> Augmentation:
    """Augmentations from the table ``augment`` of a recipe.

    Parameters
    ----------
    table : mapping
        Options of each augmentation by its name; what is left out has its default.

    Raises
    ------
    UsageError
        If a name or an option does not exist, or a range is none.

    Examples
    --------
    >>> read_augmentation({"blur": {"sigma": [0.5, 1.0]}}).steps["blur"]
    Blur(probability=0.5, sigma=(0.5, 1.0))
    """
    steps = {}
    for name, options in table.items():
        if name not in KINDS:
            msg = f"unknown augmentation {name!r}; expected one of {', '.join(KINDS)}"
            raise UsageError(msg)
        steps[name] = KINDS[name](**_checked(name, options))
    return Augmentation(MappingProxyType(steps))


def _checked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of one augmentation, ranges as pairs."""
    kinds = {f.name: f.default for f in fields(KINDS[name])}
    out: dict[str, Any] = {}
    for key, value in options.items():
        if key not in kinds:
            msg = f"{name} has no option {key!r}; it has: {', '.join(kinds)}"
            raise UsageError(msg)
        pair = isinstance(kinds[key], tuple)
        numbers = value if pair and isinstance(value, list) else [value]
        right = all(type(n) in (int, float) for n in numbers) and len(numbers) == 1 + pair
        if not right or (pair and numbers[0] > numbers[1]):
            wanted = "[lowest, highest]" if pair else "a number"
            raise UsageError(f"{name} has {key} = {value!r}; expected {wanted}")
        out[key] = tuple(float(n) for n in numbers) if pair else float(value)
    if not 0 <= out.get("probability", 0.5) <= 1:
        raise UsageError(f"{name} has probability = {out['probability']}; expected 0 to 1")
    return out
