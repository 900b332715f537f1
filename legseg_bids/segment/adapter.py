"""Make a network that was made elsewhere look like one of ours: axes, layout, probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legseg_bids.segment.convention import Convention, axes_of
from legseg_bids.segment.engines import Engine

Array = NDArray[np.float32]

AXES = "NCDHW"
LEAST_PROBABILITY = 1e-30
"""Stands for 0, which has no logarithm."""


def adapt(engine: Engine, convention: Convention) -> Engine:
    """Make a network look like one of ours; one of ours is given back as it is."""
    plain = ("orientation", "input_layout", "output_layout", "output")
    if all(getattr(convention, key) == getattr(Convention(), key) for key in plain):
        return engine
    return _Adapted(engine, convention)


class _Adapted:
    """A network behind our own axes; see :class:`~legseg_bids.segment.engines.Engine`."""

    def __init__(self, engine: Engine, convention: Convention) -> None:
        self.name, self.device = engine.name, engine.device
        self._engine = engine
        self._convention = convention
        turns = axes_of(convention.orientation)
        self._order = [axis for axis, _ in turns]
        self._flips = tuple(axis for axis, turned in turns if turned)

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """(1, 1, z, y, x) to logits (1, channels, z, y, x)."""
        turned = np.flip(batch[0, 0], self._flips).transpose(self._order)
        blocks = turned[:, None] if "D" not in self._convention.input_layout else [turned]
        parts = [self._run(block) for block in blocks]
        answer = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        back = answer.transpose(0, *(1 + self._order.index(axis) for axis in range(3)))
        logits = np.flip(back, tuple(1 + axis for axis in self._flips))
        if self._convention.output == "probabilities":
            logits = np.log(np.maximum(logits, np.float32(LEAST_PROBABILITY)))
        return (np.ascontiguousarray(logits)[None],)

    def _run(self, block: Array) -> Array:
        """(d, h, w) in the network's directions to (channels, d, h, w)."""
        fed = np.ascontiguousarray(arranged(block[None, None], self._convention.input_layout))
        answer: Array = restored(self._engine(fed)[0], self._convention.output_layout)[0]
        return answer


def arranged(block: Array, layout: str) -> Array:
    """From (n, c, d, h, w) to a layout.

    Examples
    --------
    >>> arranged(np.zeros((1, 2, 3, 4, 5), "f4"), "DHWC").shape
    (3, 4, 5, 2)
    """
    kept = block[tuple(slice(None) if axis in layout else 0 for axis in AXES)]
    present = [axis for axis in AXES if axis in layout]
    return kept.transpose([present.index(axis) for axis in layout])


def restored(answer: Array, layout: str) -> Array:
    """From a layout to (n, c, d, h, w).

    Examples
    --------
    >>> restored(np.zeros((3, 4, 5, 2), "f4"), "DHWC").shape
    (1, 2, 3, 4, 5)
    """
    present = [axis for axis in AXES if axis in layout]
    ordered = answer.transpose([layout.index(axis) for axis in present])
    missing = [i for i, axis in enumerate(AXES) if axis not in layout]
    return np.expand_dims(ordered, missing)
