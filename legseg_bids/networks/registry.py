"""Architectures by name, so that a recipe or a model's metadata can say which one it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

_REGISTRY: dict[str, Callable[..., nn.Module]] = {}

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])


def register(factory: Factory) -> Factory:
    """Decorator: make an architecture (a class, or a function) available under its name."""
    _REGISTRY[factory.__name__] = factory
    return factory


def names() -> tuple[str, ...]:
    """Names of all architectures, sorted."""
    return tuple(sorted(_REGISTRY))


def create(name: str, **options: Any) -> nn.Module:
    """Build an architecture by name.

    Raises
    ------
    ValueError
        If no architecture has that name; the message lists those there are.

    Examples
    --------
    >>> type(create("LocatorNet")).__name__
    'LocatorNet'
    """
    if name not in _REGISTRY:
        msg = f"unknown network {name!r}; expected one of {', '.join(names())}"
        raise ValueError(msg)
    return _REGISTRY[name](**options)
