"""Training recipes: one TOML file a network, read into one frozen dataclass."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Attributes
    ----------
    name : str
        Name of the model, and of its folder under ``models/``.
    kind : str
        ``segmentation`` or ``locator``.
    anatomies : tuple of str
        Label maps that the images are simulated from.
    network : dict
        ``name`` in the registry and its arguments.
    batch : int
        Stacks a step.
    channels : tuple of int
        Left label of each output channel (segmentation).
    region : str
        ``upper``, ``lower`` or ``hip`` (segmentation).
    people : str
        Folder below the atlas with partial maps of more people; empty: the anatomies only.
    blend : bool
        Whether the anatomies are given one another's shapes even without such a folder.
    partial_share : float
        Share of the stacks that are made from those people's own maps, with the labels they have.
    deep_supervision : tuple of float
        Weights of the losses of the coarser levels, beside 1 of the finest; empty: none.
    held_out : tuple of str
        How the names of those people begin that only the validation sees.
    size, pixel_mm : int, float
        Slice size in pixels, pixel in mm (locator).
    """

    name: str
    kind: str
    anatomies: tuple[str, ...]
    network: Mapping[str, Any]
    batch: int
    learning_rate: float
    weight_decay: float
    seed: int = 0
    channels: tuple[int, ...] = ()
    region: str = ""
    people: str = ""
    blend: bool = False
    partial_share: float = 0.0
    deep_supervision: tuple[float, ...] = ()
    held_out: tuple[str, ...] = ()
    size: int = 128
    pixel_mm: float = 3.0
    sides: tuple[str, ...] = field(default=("left", "right", "both"))
    parts: tuple[str, ...] = field(default=("foot", "lower", "knee", "upper", "hip"))


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the package.

    Examples
    --------
    >>> shipped_recipes()
    ('hip', 'locator', 'lower_leg', 'thigh')
    """
    folder = resources.files("legseg_bids.train") / "data"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name, or one from a TOML file.

    Raises
    ------
    ValueError
        If there is neither.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.exists():
        text, title = path.read_text(encoding="utf-8"), path.stem
    elif name in shipped_recipes():
        source = resources.files("legseg_bids.train") / "data" / f"{name}.toml"
        text, title = source.read_text(encoding="utf-8"), name
    else:
        msg = f"no recipe {name!r}; expected a .toml file or one of {', '.join(shipped_recipes())}"
        raise ValueError(msg)
    return _read(tomllib.loads(text), title)


def _read(table: dict[str, Any], name: str) -> Recipe:
    optimiser = table.pop("optimiser")
    network = table.pop("network")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    return Recipe(name=name, network=network, **optimiser, **values)


def network_options(recipe: Recipe) -> dict[str, Any]:
    """Arguments of the architecture, with the number of classes from the channels."""
    options = {k: v for k, v in recipe.network.items() if k != "name"}
    if recipe.kind == "segmentation":
        options["classes"] = len(recipe.channels)
    return options
