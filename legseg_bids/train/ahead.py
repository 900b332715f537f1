"""Batches made ahead by processes of their own, in the order of their seeds.

The maps are mapped from their files by every process, so that they share one copy. Batches travel
through pipes and not through shared memory, which containers make small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from legseg_bids.bids.sockets import make_room_for_sockets
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import Composite
from legseg_bids.synth.ranges import Ranges
from legseg_bids.train.batches import GROW_AT, make_batch
from legseg_bids.train.recipe import Recipe
from legseg_bids.train.workers import begin

#: Batches that each process makes ahead.
AHEAD = 2

Order = tuple[int, float]


@dataclass(frozen=True, eq=False)
class Supply(Dataset[Any]):
    """What batches are made of; goes to the processes that make them.

    A batch is asked for by its seed and the share of the training time that has passed.
    """

    recipe: Recipe
    anatomies: Sequence[Anatomy]
    ranges: Ranges
    composites: Sequence[Composite] = ()

    def __getitem__(self, order: Order) -> tuple[Order, list[NDArray[Any]]]:
        """The order, and the batch as arrays: images in float32, all else in int16."""
        return order, [_as_array(part) for part in self.make(order, "cpu")]

    def make(self, order: Order, device: str) -> tuple[Tensor, ...]:
        """The batch itself, on a device."""
        seed, share = order
        args = (self.recipe, self.anatomies, seed, self.ranges, share, self.composites)
        return make_batch(*args, device)


def _as_array(part: Tensor) -> NDArray[Any]:
    return (part if part.is_floating_point() else part.to(torch.int16)).numpy()


def _as_tensor(part: NDArray[Any]) -> Tensor:
    made = torch.from_numpy(part)
    return made if made.is_floating_point() else made.long()


class InTurn:
    """Batches of a supply, each made on a device when it is asked for."""

    def __init__(self, supply: Supply, device: str) -> None:
        self._supply, self._device = supply, device

    def batch(self, seed: int, share: float) -> tuple[Tensor, ...]:
        """The batch of a seed and a share of the time."""
        return self._supply.make((seed, share), self._device)

    def close(self) -> None:
        """Nothing to end."""


class Ahead:
    """Batches of a supply, made by processes while others are learnt from.

    Each process has one thread and makes at most :data:`AHEAD` batches more than were asked for.
    What goes wrong in one is raised where the next batch is asked for; they end with
    :meth:`close`, and at once when this process is killed.

    Parameters
    ----------
    supply : Supply
    workers : int
        Processes, at least one.
    """

    def __init__(self, supply: Supply, workers: int) -> None:
        make_room_for_sockets()
        self._orders = _Orders()
        self._loader = DataLoader(
            supply,
            batch_size=None,
            sampler=self._orders,
            num_workers=workers,
            prefetch_factor=AHEAD,
            collate_fn=_as_it_is,
            multiprocessing_context="forkserver",
            worker_init_fn=begin,
            generator=torch.Generator("cpu"),  # otherwise it takes a number from the network's
        )
        self._made: Iterator[Any] | None = None

    def batch(self, seed: int, share: float) -> tuple[Tensor, ...]:
        """The batch of a seed and a share of the time; seeds follow one another.

        Where the stacks become large, or a seed is not the next one, what was made ahead is
        thrown away: a training sees the same batches whatever the number of processes.
        """
        wanted = (seed, 0.0 if share < GROW_AT else GROW_AT)
        if wanted != self._orders.expected:
            self._orders.following = wanted
        if self._made is None:
            self._made = iter(self._loader)
        order = None
        while order != wanted:
            order, parts = next(self._made)
        self._orders.expected = (seed + 1, wanted[1])
        return tuple(_as_tensor(part) for part in parts)

    def close(self) -> None:
        """End the processes."""
        # It ends them when it is deleted, but an error that is being reported still refers to it.
        end = getattr(self._made, "_shutdown_workers", None)
        if end is not None:
            end()
        self._made = None


class _Orders:
    """Orders without end, as a loader wants them; ``following`` may be changed at any time."""

    def __init__(self) -> None:
        self.following: Order = (0, 0.0)
        self.expected: Order = (-1, 0.0)

    def __iter__(self) -> Iterator[Order]:
        while True:
            order = self.following
            self.following = (order[0] + 1, order[1])
            yield order


def _as_it_is(made: Any) -> Any:
    """What a process hands over stays an array."""
    return made
