"""The recipe of a training, as frozen dataclasses; :mod:`.recipe_file` reads it from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CONTRASTS = ("opposed", "in_phase")


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
