"""Weights from a checkpoint of PyTorch, without running what it may hold.

A ``.pth`` file is a pickle, which can call anything when it is read. PyTorch's restricted reader
builds tensors and plain values only; nnU-Net's training log adds NumPy's scalars, which are let
through by name because they hold numbers too. Anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from legseg_bids.errors import ModelError

LARGEST = 8 * 1024**3
WEIGHTS = "network_weights"
PREFIXES = ("module.", "_orig_mod.")


def read_weights(path: Path) -> dict[str, Any]:
    """Tensors of a checkpoint of nnU-Net, by name.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelError
        If it is missing, too large, damaged, holds more than numbers, or no weights.
    """
    import torch

    if not path.is_file() or path.stat().st_size > LARGEST:
        raise ModelError(
            f"{path} is not a file of at most {LARGEST} bytes; expected a checkpoint of nnU-Net; "
            f"copy it again, or choose a fold that has one with --fold"
        )
    try:
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except torch.serialization.pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than numbers, and reading it could run code ({_reason(error)}); "
            f"expected weights and a training log; have its maker save the weights alone: "
            f"torch.save({{'{WEIGHTS}': network.state_dict()}}, file)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}); expected a checkpoint of nnU-Net; copy it again"
        ) from error
    weights = content.get(WEIGHTS) if isinstance(content, dict) else None
    if not isinstance(weights, Mapping) or not weights:
        raise ModelError(
            f"{path} holds no {WEIGHTS}; expected a checkpoint of nnU-Net; give its result folder"
        )
    return {_plain(str(name)): tensor for name, tensor in weights.items()}


def _plain(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _reason(error: Exception) -> str:
    """The name that was refused, out of PyTorch's long advice."""
    found = re.search(r"GLOBAL:?\s+(?:GLOBAL )?([\w.]+)", str(error))
    return f"it asks for {found[1]}" if found else str(error).strip().splitlines()[0]


def _harmless() -> list[Any]:
    """NumPy's scalars, under the names of NumPy 1 and 2."""
    import numpy as np

    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    kinds = (np.float64, np.float32, np.int64, np.int32, np.bool_)
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [*((scalar, name) for name in names), np.dtype, *(type(np.dtype(k)) for k in kinds)]
