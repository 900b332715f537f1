"""The experiments: questions, arms and budgets, each a TOML file of the package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from typing import Any

from legseg_bids.errors import UsageError

#: What an arm is made of: one network, one for each group of structures, a tree of networks, or
#: the networks that come with the package.
KINDS = ("one", "two", "tree", "shipped")
#: What is told to a training: all labels; those that were drawn, with background for the rest;
#: the same, knowing what was not drawn.
TRUTHS = ("all", "naive", "drawn")
#: Name of the loss of :func:`.hiding.merged_cross_entropy`.
MERGED = "merged_cross_entropy"


@dataclass(frozen=True)
class Arm:
    """One way of doing it.

    Attributes
    ----------
    name, title : str
    network : mapping
        Name and options of the architecture, but for its classes.
    loss : str
        As for :class:`~legseg_bids.train.losses.LossSum`, or :data:`MERGED`.
    kind : str
        One of :data:`KINDS`.
    truth : str
        One of :data:`TRUTHS`.
    augment : str
        Name of a table of :mod:`.augmenting`; empty for none.
    """

    name: str
    title: str
    network: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "dice + cross_entropy"
    kind: str = "one"
    truth: str = "all"
    augment: str = ""


@dataclass(frozen=True)
class Experiment:
    """One published experiment.

    Attributes
    ----------
    name, title, question, source : str
    structures : str
        Set of structures, see :func:`.structures.structure_set`.
    regions : tuple of str
        Regions of the limb whose slices are used.
    people : int
        Training people; the first ones of the bank.
    size, coarser, batch, steps, seeds : int
        Pixels of a side that are cut out of the bank's slices, how many of them make one along
        either axis, slices of a step, steps and trainings of each arm.
    rate : float
        Highest learning rate.
    reference : str
        The arm that all others are compared with.
    arms : tuple of Arm
    """

    name: str
    title: str
    question: str
    source: str
    structures: str
    regions: tuple[str, ...]
    people: int
    size: int
    coarser: int
    batch: int
    steps: int
    seeds: int
    rate: float
    reference: str
    arms: tuple[Arm, ...]

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)


def experiment_names() -> tuple[str, ...]:
    """Names of all experiments, sorted.

    Examples
    --------
    >>> "partial-labels" in experiment_names()
    True
    """
    folder = resources.files(__package__) / "data"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_experiment(name: str) -> Experiment:
    """An experiment by its name.

    Raises
    ------
    UsageError
        If there is none; the message lists those there are.
    """
    if name not in experiment_names():
        known = ", ".join(experiment_names())
        raise UsageError(f"no experiment {name!r}; expected one of {known}; or the word list")
    text = (resources.files(__package__) / "data" / f"{name}.toml").read_text("utf-8")
    return read_experiment(name, tomllib.loads(text))


def read_experiment(name: str, table: Mapping[str, Any]) -> Experiment:
    """An experiment from its table; what an arm leaves out is that of ``[common]``."""
    common = table.get("common", {})
    allowed = {f.name for f in fields(Arm)}
    arms = [Arm(**{k: v for k, v in {**common, **arm}.items() if k in allowed})
            for arm in table["arm"]]  # fmt: skip
    own = {k: v for k, v in table.items() if k not in ("arm", "common", "regions")}
    return Experiment(name=name, arms=tuple(arms), regions=tuple(table["regions"]), **own)
