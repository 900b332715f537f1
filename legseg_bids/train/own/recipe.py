"""The recipe of a training: one TOML file, read into frozen dataclasses, every key checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from legseg_bids.anatomy.regions import Region
from legseg_bids.errors import UsageError
from legseg_bids.train.own.checks import CONTRASTS, check, one_of

Table = TypeVar("Table")


@dataclass(frozen=True)
class Data:
    """One dataset with labels.

    Attributes
    ----------
    raw, labels : str
        The BIDS dataset, and the derivative with ``*_dseg.nii.gz`` and their tables.
    files : str
        Which label images, if there are several to an image: a pattern of their names.
    names : mapping of str to str
        What a structure of its tables is in the label scheme; see
        :func:`~legseg_bids.train.own.structures.meaning_of`.
    """

    raw: str
    labels: str
    files: str = "*_dseg.nii.gz"
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """What the network is given.

    Attributes
    ----------
    spacing : tuple of float
        Voxel size along x, y, z, mm.
    native_z_above : float
        Slices farther apart than this (mm) stay where they are.
    patch : tuple of int
        Voxels of a patch along z, y, x.
    """

    spacing: tuple[float, ...] = (1.5, 1.5, 6.0)
    native_z_above: float = 5.0
    patch: tuple[int, ...] = (16, 96, 96)


@dataclass(frozen=True)
class Optimiser:
    """How weights follow the gradient.

    Attributes
    ----------
    name : {"adam", "adamw", "sgd"}
    learning_rate : float
        The highest of the schedule.
    weight_decay : float
        L2 penalty; with ``adamw`` decoupled from the gradient.
    amsgrad : bool
        For the first two: never forget the steepest gradient (Reddi et al., ICLR 2018).
    momentum : float
        For ``sgd`` (Nesterov's).
    clip : float
        Longest gradient; 0 leaves all as they are.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    amsgrad: bool = True
    momentum: float = 0.9
    clip: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """How long, and how fast when.

    Attributes
    ----------
    kind : {"one_cycle", "cosine", "plateau", "constant"}
    epochs, steps : int
        Longest training, and steps of an epoch; after each epoch comes a validation.
    minutes : float
        Longest training in minutes; 0 sets no limit.
    patience, factor : int, float
        With ``plateau``: after so many epochs without a better Dice the rate is multiplied by
        the factor.
    stop_after : int
        Epochs without a better Dice after which training ends; 0 never ends it early.
    """

    kind: str = "one_cycle"
    epochs: int = 100
    steps: int = 50
    minutes: float = 0.0
    patience: int = 5
    factor: float = 0.3
    stop_after: int = 30


@dataclass(frozen=True)
class Split:
    """Who is trained on, who validates, who is kept for the end: participants, never slices.

    Attributes
    ----------
    folds : int
        Parts for cross-validation; each validates once.
    validation, test : tuple of str
        Participants by name. With ``validation`` there are no folds.
    """

    folds: int = 5
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """Weights to begin with.

    Attributes
    ----------
    bundle : str
        Folder of a bundle, or the name of a shipped one; empty begins at random.
    labels : mapping of str to str
        From which structure of that network a class begins; its own name is not needed.
    imagenet : str
        torchvision's file of ResNet-34 weights, for a network with such an encoder.
    """

    bundle: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    imagenet: str = ""


@dataclass(frozen=True)
class Tune:
    """Where ``legseg-train tune`` looks for better values; each range is lowest and highest.

    Attributes
    ----------
    trials : int
        Trainings, most of which are ended early.
    learning_rate, weight_decay : tuple of float
        On a logarithmic scale.
    input_dropout : tuple of float
        On a linear scale.
    min_epochs, reduction : int
        Hyperband: no training ends before so many epochs; of so many trainings one goes on.
    """

    trials: int = 30
    learning_rate: tuple[float, ...] = (1e-4, 1e-2)
    weight_decay: tuple[float, ...] = (1e-6, 1e-3)
    input_dropout: tuple[float, ...] = (0.0, 0.3)
    min_epochs: int = 3
    reduction: int = 3


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how. Tables of the file are fields of the same name.

    Attributes
    ----------
    name : str
        Name of the file, without its ending.
    region : {"upper", "lower", "whole"}
        Part of the leg, which is also whose place the network takes in the application; ``whole``
        takes both.
    classes : tuple of str
        Structures, without their side; ``("all",)`` takes all of the region that were drawn.
    other : bool
        Whether drawn structures that are no class get one of their own instead of being
        background; it is not reported.
    contrasts : tuple of str
        Images of a station that are trained on: ``opposed``, ``in_phase`` (where there is one).
    loss : str
        See :mod:`legseg_bids.train.losses`.
    augment : mapping or str
        See :mod:`legseg_bids.train.augment`; a table, or the name of a shipped one.
    batch, workers, seed : int
        ``workers`` are processes that load and augment; 0 does it in between the steps.
    input_dropout : float
        Share of the voxels that are set to 0 on their way into the network.
    bf16 : bool
        Whether the network computes in bfloat16 while training.
    """

    name: str
    region: str
    data: tuple[Data, ...]
    network: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ("all",)
    other: bool = True
    contrasts: tuple[str, ...] = CONTRASTS
    loss: str = "dice + cross_entropy"
    augment: Any = "legs"
    batch: int = 2
    workers: int = 1
    seed: int = 0
    input_dropout: float = 0.0
    bf16: bool = True
    grid: Grid = Grid()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    split: Split = Split()
    start: Start = Start()
    tune: Tune = Tune()

    def plain(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; relative folders in it are relative to its own.

    Raises
    ------
    UsageError
        If it cannot be read, names a key that does not exist or lacks one, or a value is
        impossible.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the recipe {path}: {error}; expected a TOML file"
        ) from error
    return read_recipe(table, path.stem, path.parent)


def read_recipe(table: Mapping[str, Any], name: str, folder: Path = Path()) -> Recipe:
    """A recipe from its tables.

    Parameters
    ----------
    table : mapping
        As the TOML file has them.
    name : str
        Of the recipe.
    folder : Path
        What relative folders are relative to.

    Raises
    ------
    UsageError
        If a key does not exist or is missing, or a value is impossible.

    Examples
    --------
    >>> table = {"raw": "study", "labels": "study/derivatives/hand"}
    >>> recipe = read_recipe({"region": "upper", "data": [table], "start": {"bundle": "thigh"}},
    ...                      "mine")
    >>> recipe.schedule.kind, recipe.data[0].files
    ('one_cycle', '*_dseg.nii.gz')
    """
    values = dict(table)
    one_of("the recipe", "region", values.get("region", "upper"), sorted(Region))
    data = values.get("data", [])
    if not isinstance(data, list) or not data:
        raise UsageError(
            "the recipe has no [[data]]; expected one for each dataset, raw and labels"
        )
    values["data"] = [_data(entry, folder) for entry in data]
    for key, kind in _PARTS.items():
        if key in values:
            values[key] = _filled(kind, values[key], f"[{key}]")
    if "start" in values:
        values["start"] = _placed(values["start"], folder)
    if isinstance(values.get("classes"), str):
        values["classes"] = [values["classes"]]
    recipe = _filled(Recipe, {"name": name, **values}, "the recipe")
    check(recipe)
    return recipe


_PARTS = {
    "grid": Grid, "optimiser": Optimiser, "schedule": Schedule, "split": Split, "start": Start,
    "tune": Tune,
}  # fmt: skip


def _data(entry: Any, folder: Path) -> Data:
    data = _filled(Data, entry, "[[data]]")
    return Data(str(folder / data.raw), str(folder / data.labels), data.files, data.names)


def _placed(start: Start, folder: Path) -> Start:
    """With its files relative to the recipe's folder; a bundle may also be a shipped one."""
    if start.bundle and (folder / start.bundle).is_dir():
        start = replace(start, bundle=str(folder / start.bundle))
    if start.bundle and start.imagenet:
        raise UsageError(
            "[start] has both `bundle` and `imagenet`; expected one; a bundle's encoder has been "
            "trained already"
        )
    return replace(start, imagenet=str(folder / start.imagenet)) if start.imagenet else start


def _filled(kind: type[Table], table: Any, where: str) -> Table:
    """A dataclass from a table whose keys are its fields."""
    known: dict[str, Field[Any]] = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(table, Mapping):
        raise UsageError(
            f"{where} is {table!r}; expected a table with the keys {', '.join(known)}"
        )
    for key in table:
        if key not in known:
            raise UsageError(f"{where} has no key {key!r}; it has: {', '.join(known)}")
    for key, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and key not in table:
            raise UsageError(f"{where} lacks the key {key!r}; expected it")
    return kind(**{key: _value(known[key], value, where) for key, value in table.items()})


def _value(entry: Field[Any], value: Any, where: str) -> Any:
    """A value of the type of the field's default; lists become tuples."""
    if isinstance(value, list):
        value = tuple(value)
    default = entry.default
    if default is MISSING or entry.name == "augment":
        return value
    number = type(default) is float and type(value) is int
    right = number or type(value) is type(default)
    if right and isinstance(default, tuple) and default:
        kinds = (int, float) if isinstance(default[0], float) else (type(default[0]),)
        lengths = isinstance(default[0], str) or len(value) == len(default)
        right = lengths and all(type(item) in kinds for item in value)
    if not right:
        raise UsageError(
            f"{where} has {entry.name} = {value!r}; expected something like {default!r}"
        )
    return float(value) if number else value
