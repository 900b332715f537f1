"""Of whom the stacks of a training are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from legseg_bids.synth.atlas import Anatomy, load_anatomy
from legseg_bids.synth.composite import Composite, load_composites
from legseg_bids.synth.register import with_people
from legseg_bids.train.recipe import Recipe


def anatomies_of(
    recipe: Recipe, atlas: Path, cache: Path, say: Callable[[str], Any] = print
) -> list[Anatomy]:
    """The anatomies of a recipe, with the shapes of others if it asks for these.

    Parameters
    ----------
    recipe : Recipe
    atlas : Path
        Folder with the label maps.
    cache : Path
        Keeps what is prepared and fitted.
    say : callable
        Hears about progress.

    Raises
    ------
    ImageError
        If a map is missing or unreadable.
    """
    maps = [load_anatomy(atlas, name, cache) for name in recipe.anatomies]
    if not (recipe.people or recipe.blend):
        return maps
    folder = atlas / recipe.people if recipe.people else None
    return with_people(maps, folder, cache, say, recipe.region)


def composites_of(
    recipe: Recipe, anatomies: list[Anatomy], atlas: Path, cache: Path
) -> list[Composite]:
    """The partly labelled people of a recipe but those held out; none if it uses none.

    Parameters
    ----------
    anatomies : list of Anatomy
        :func:`anatomies_of` the same recipe.
    """
    if not recipe.partial_share:
        return []
    return load_composites(anatomies, atlas / recipe.people, cache, recipe.held_out)
