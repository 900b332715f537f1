from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.networks import create
from legseg_bids.train.recipe import load_recipe, network_options, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_build_their_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.anatomies
    assert create(recipe.network["name"], **network_options(recipe)) is not None


@pytest.mark.parametrize("name", ["thigh", "lower_leg"])
def test_channels_are_left_labels_of_the_scheme(name: str) -> None:
    channels = load_recipe(name).channels
    left = {label.index for label in load_labels() if label.side in ("left", "n/a")}
    assert channels[0] == 0
    assert len(set(channels)) == len(channels)
    assert set(channels) - {0, -1} <= left


def test_recipe_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'kind = "locator"\nanatomies = ["vhm"]\n[network]\nname = "LocatorNet"\n'
        "[optimiser]\nbatch = 1\nlearning_rate = 1e-3\nweight_decay = 0.0\n"
    )
    assert load_recipe(str(path)).name == "mine"


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(ValueError, match="locator, lower_leg, thigh"):
        load_recipe("arm")


def test_held_out_people_need_people() -> None:
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert not recipe.held_out or recipe.people
    assert len(load_recipe("thigh").held_out) == len(set(load_recipe("thigh").held_out)) > 2
