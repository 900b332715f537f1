"""Linear interpolation on tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def interp(x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
    """Values between known ones, as :func:`numpy.interp` gives them, on any device.

    Parameters
    ----------
    x : Tensor
        Places, any shape and any real type.
    xp : Tensor of float64, shape (k,)
        Rising, on the device of ``x``.
    fp : Tensor of float64, shape (k,) or (k, c)
        Values there.

    Returns
    -------
    Tensor of float64, shape (..., ) or (..., c)
        Beyond either end the value of the end.

    Examples
    --------
    >>> xp, fp = torch.tensor([0.0, 2.0, 3.0]).double(), torch.tensor([1.0, 5.0, 0.0]).double()
    >>> interp(torch.tensor([-1.0, 0.5, 2.5, 9.0]), xp, fp).tolist()
    [1.0, 2.0, 2.5, 0.0]
    """
    last = xp.shape[0] - 1
    where = x.reshape(-1).to(xp.dtype)
    low = (torch.searchsorted(xp, where, right=True) - 1).clamp(0, max(last - 1, 0))
    # The steps of numpy, in its order and its precision: the same numbers to the last bit.
    slope = fp.diff(dim=0) / xp.diff().reshape(-1, *[1] * (fp.dim() - 1))
    start = where - xp.index_select(0, low)
    before, after = where < xp[0], where >= xp[last]
    if fp.dim() > 1:
        start, before, after = (a[:, None] for a in (start, before, after))
    out = fp.index_select(0, low)
    if last:
        out = slope.index_select(0, low) * start + out
    out = torch.where(after, fp[last], torch.where(before, fp[0], out))
    return out.reshape(*x.shape, *fp.shape[1:])
