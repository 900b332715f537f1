"""The last layer of a network, class by class."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def inherited_rows(given: Tensor, own: Tensor, sources: Sequence[int | None]) -> Tensor:
    """Weights or biases of a last layer, from those of another network.

    Parameters
    ----------
    given : Tensor, shape (old classes, …)
        Of the other network.
    own : Tensor, shape (new classes, …)
        What classes keep that have no source.
    sources : sequence of int or None
        Of each new class, the other network's class that it begins as.

    Examples
    --------
    >>> import torch
    >>> inherited_rows(torch.tensor([5.0, 6.0]), torch.zeros(3), (1, None, 0)).tolist()
    [6.0, 0.0, 5.0]
    """
    out = own.clone()
    for row, source in enumerate(sources):
        if source is not None:
            out[row] = given[source].to(own.dtype)
    return out
