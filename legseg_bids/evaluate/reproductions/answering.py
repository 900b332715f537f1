"""The arms of an experiment: train what they are made of, and answer slices with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from legseg_bids.evaluate.reproductions.bank import Bank
from legseg_bids.evaluate.reproductions.batches import Batch, Source, named_augmentation
from legseg_bids.evaluate.reproductions.experiments import Arm, Experiment
from legseg_bids.evaluate.reproductions.hiding import drawn_part
from legseg_bids.evaluate.reproductions.structures import Structure, parts, structure_set
from legseg_bids.evaluate.reproductions.training import (
    build,
    fit,
    logits_of,
    named_loss,
    region_loss,
)

#: Share of a tree's steps that its classifier gets; the two networks share the rest.
CLASSIFIER_SHARE = 0.1
#: Slices that are answered at once.
AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Trained:
    """What came out of a training.

    Attributes
    ----------
    answer : callable
        Batch → classes of its pixels, int64 (n, y, x).
    parameters : int
        Weights of all networks together.
    loss : float
        Mean over the last tenth of the steps (of the networks that segment).
    """

    answer: Callable[[Batch], Tensor]
    parameters: int
    loss: float


def count_parameters(network: nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in network.parameters())


def train_arm(experiment: Experiment, arm: Arm, bank: Bank, steps: int, seed: int) -> Trained:
    """Train one arm once.

    Parameters
    ----------
    steps : int
        Steps in all, however many networks the arm is made of.
    seed : int
        Of first weights and of batches; shared by all arms.
    """
    source = Source(
        bank=bank,
        rows=bank.rows("train", experiment.regions, experiment.people),
        structures=structure_set(experiment.structures),
        size=experiment.size,
        coarser=experiment.coarser,
        truth=arm.truth,
        augmentation=named_augmentation(arm.augment),
    )
    way = {"one": _one, "two": _two, "tree": _tree}[arm.kind]
    return way(experiment, arm, source, steps, seed)


def _train_one(
    experiment: Experiment, arm: Arm, source: Source, steps: int, seed: int
) -> tuple[nn.Module, float]:
    network = build(arm.network, 1 + len(source.structures), seed)

    def batches(step: int) -> Batch:
        return source.batch(experiment.batch, seed, step)

    loss = fit(network, named_loss(arm.loss), batches, steps, experiment.rate)
    return network, loss


def _one(experiment: Experiment, arm: Arm, source: Source, steps: int, seed: int) -> Trained:
    network, loss = _train_one(experiment, arm, source, steps, seed)
    return Trained(
        lambda batch: logits_of(network, batch).argmax(1), count_parameters(network), loss
    )


def part_classes(structures: Sequence[Structure], part: str) -> NDArray[np.int64]:
    """Numbers in the whole set of background and of the classes of one group."""
    return np.array([0, *(n for n, s in enumerate(structures, start=1) if s.part == part)])


def _two(experiment: Experiment, arm: Arm, source: Source, steps: int, seed: int) -> Trained:
    """A network for each group of structures, trained on the people in whom it was drawn."""
    groups, networks, losses = parts(source.structures), [], []
    drawn = np.array([drawn_part(int(p), groups) for p in source.bank.person[source.rows]])
    for group in groups:
        own = tuple(s for s in source.structures if s.part == group)
        mine = replace(source, rows=source.rows[drawn == group], structures=own, truth="all")
        network, loss = _train_one(experiment, arm, mine, steps // len(groups), seed)
        networks.append(network)
        losses.append(loss)
    numbers = [torch.from_numpy(part_classes(source.structures, g)) for g in groups]

    def answer(batch: Batch) -> Tensor:
        return surest([logits_of(n, batch).softmax(1) for n in networks], numbers)

    return Trained(answer, sum(map(count_parameters, networks)), float(np.mean(losses)))


def surest(probabilities: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
    """Put the answers of several networks together: the surest one that is not background.

    Parameters
    ----------
    probabilities : sequence of Tensor, shape (n, own classes, y, x)
    numbers : sequence of Tensor of int64, shape (own classes,)
        What each network's classes are called in the whole.

    Examples
    --------
    >>> one = torch.tensor([0.1, 0.9])[None, :, None, None]
    >>> two = torch.tensor([0.3, 0.7])[None, :, None, None]
    >>> int(surest([one, two], [torch.tensor([0, 5]), torch.tensor([0, 7])]))
    5
    """
    best = [p.max(1) for p in probabilities]
    called = torch.stack([n[b.indices] for n, b in zip(numbers, best, strict=True)])
    sure = torch.stack([b.values for b in best]) * (called > 0)
    return called.gather(0, sure.argmax(0, keepdim=True))[0]


def _tree(experiment: Experiment, arm: Arm, source: Source, steps: int, seed: int) -> Trained:
    """Classifier and two networks, each trained on its own region."""
    groups = parts(source.structures)
    numbers = [torch.from_numpy(part_classes(source.structures, g)) for g in groups]
    counts = [len(n) for n in numbers]
    torch.manual_seed(seed)
    tree = _create_tree(arm, counts)
    classifier = round(CLASSIFIER_SHARE * steps)
    fit(
        tree.region,
        region_loss,
        lambda step: source.batch(experiment.batch, seed, step),
        classifier,
        experiment.rate,
    )
    losses = []
    regions = [r for r in experiment.regions if r != "calf"], ["calf"]
    for group, network, own in zip(groups, (tree.thigh, tree.leg), regions, strict=True):
        mine = replace(
            source,
            rows=source.bank.rows("train", own, experiment.people),
            structures=tuple(s for s in source.structures if s.part == group),
        )
        losses.append(
            fit(
                network,
                named_loss(arm.loss),
                lambda step, mine=mine: mine.batch(experiment.batch, seed, step),  # type: ignore[misc]
                (steps - classifier) // 2,
                experiment.rate,
            )
        )

    def answer(batch: Batch) -> Tensor:
        region, labels = tree.labels(batch.image)
        called = torch.stack([n[labels.clamp_max(len(n) - 1)] for n in numbers])
        return called.gather(0, region[None, :, None, None].expand(1, *labels.shape))[0]

    return Trained(answer, count_parameters(tree), float(np.mean(losses)))


def _create_tree(arm: Arm, counts: Sequence[int]) -> Any:
    from legseg_bids.networks import create

    options = {key: value for key, value in arm.network.items() if key != "name"}
    thigh, leg = counts
    name = str(arm.network["name"])
    return cast(Any, create(name, inputs=1, thigh_classes=thigh, leg_classes=leg, **options))


def answers(trained: Trained, source: Source, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Classes of the pixels of many slices, (n, y, x)."""
    out = []
    with torch.inference_mode():
        for first in range(0, len(rows), AT_ONCE):
            batch = source.read(rows[first : first + AT_ONCE])
            out.append(trained.answer(batch).numpy().astype(np.uint8))
    return np.concatenate(out)
