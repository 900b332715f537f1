"""One short training: a network, its loss, a schedule of one cycle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from legseg_bids.evaluate.reproductions.batches import Batch
from legseg_bids.evaluate.reproductions.experiments import MERGED
from legseg_bids.evaluate.reproductions.hiding import merged_cross_entropy
from legseg_bids.networks import create
from legseg_bids.train.losses import LossSum

#: Loss of a batch from what the network says to it.
Loss = Callable[[Tensor, Batch], Tensor]
#: Share of the steps in which the learning rate rises.
RISE = 0.2
WEIGHT_DECAY = 1e-4


def learning_rate(share: float, peak: float) -> float:
    """One cycle: up in a straight line, down to a thousandth along half a cosine.

    Examples
    --------
    >>> [round(learning_rate(s, 1.0), 2) for s in (0.0, 0.2, 0.6, 1.0)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if share < RISE:
        return peak * (0.04 + 0.96 * share / RISE)
    angle = math.pi * min((share - RISE) / (1 - RISE), 1.0)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(angle)))


def named_loss(spec: str) -> Loss:
    """The loss that an arm names."""
    if spec == MERGED:
        return merged_loss
    total = LossSum(spec)
    return lambda logits, batch: total(logits, batch.labels, batch.known)


def merged_loss(logits: Tensor, batch: Batch) -> Tensor:
    """:func:`.hiding.merged_cross_entropy` of a batch that was drawn in part."""
    if batch.known is None:
        raise ValueError("everything is drawn; expected a batch of which a part is")
    return merged_cross_entropy(logits, batch.labels, batch.known)


def region_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the classifier of thigh and leg."""
    return nn.functional.cross_entropy(logits, batch.region)


def build(table: Mapping[str, Any], classes: int, seed: int) -> nn.Module:
    """The network of an arm with its first weights, the same for the same seed."""
    torch.manual_seed(seed)
    options = {key: value for key, value in table.items() if key != "name"}
    return create(str(table["name"]), inputs=1, classes=classes, **options)


def logits_of(network: nn.Module, batch: Batch) -> Tensor:
    """What a network says; a Spatial Channel U-Net is told the place as well."""
    more = (batch.place,) if hasattr(network, "place") else ()
    out: Tensor = network(batch.image, *more)
    return out


def fit(
    network: nn.Module, loss: Loss, batches: Callable[[int], Batch], steps: int, peak: float
) -> float:
    """Train for so many steps.

    Parameters
    ----------
    network : Module
        Is trained in place, and left in evaluation mode.
    loss : callable
    batches : callable
        Batch of each step.
    steps : int
    peak : float
        Highest learning rate.

    Returns
    -------
    float
        Mean loss of the last tenth of the steps.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=WEIGHT_DECAY)
    network.train()
    last: list[float] = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step / max(steps - 1, 1), peak)
        batch = batches(step)
        optimiser.zero_grad(set_to_none=True)
        value = loss(logits_of(network, batch), batch)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step >= 0.9 * steps or step == steps - 1:
            last.append(float(value.detach()))
    network.eval()
    return sum(last) / max(len(last), 1)
