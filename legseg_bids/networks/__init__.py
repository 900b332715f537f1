"""Architectures only, each a ``torch.nn.Module`` in a registry by name."""

from __future__ import annotations

from legseg_bids.networks import locator, residual_unet
from legseg_bids.networks.registry import create

__all__ = ["create", "locator", "residual_unet"]
