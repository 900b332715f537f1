from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from legseg_bids.anatomy.labels import load_labels
from legseg_bids.networks import create
from legseg_bids.synth.atlas import code_table
from legseg_bids.synth.register import MUSCLES
from legseg_bids.synth.sample import REGION_REACH, STACKS, channel_table
from legseg_bids.train.recipe import load_recipe, network_options, shipped_recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_build_their_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.anatomies
    assert create(recipe.network["name"], **network_options(recipe)) is not None


@pytest.mark.parametrize("name", ["thigh", "lower_leg", "hip"])
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
    with pytest.raises(ValueError, match="hip, locator, lower_leg, thigh"):
        load_recipe("arm")


def test_held_out_people_need_people() -> None:
    for name in shipped_recipes():
        recipe = load_recipe(name)
        assert not recipe.held_out or recipe.people
    assert len(load_recipe("thigh").held_out) == len(set(load_recipe("thigh").held_out)) > 2


# which structures are learnt ---------------------------------------------------------------

SEGMENTATIONS = ("hip", "lower_leg", "thigh")
#: The scheme's own word for the region that a recipe trains.
REGIONS = {"hip": "hip", "lower_leg": "lower", "thigh": "upper"}


def known_to(scheme: str) -> set[int]:
    """Left and unpaired muscles and bones that the maps of a scheme can name."""
    codes = {int(code) for code in code_table(scheme)}
    return {e.index for e in load_labels() if e.side != "right" and e.index in codes}


def test_every_structure_of_the_anatomies_is_segmented() -> None:
    everywhere = set().union(*(load_recipe(name).channels for name in SEGMENTATIONS))
    for scheme in ("atlas", "musclemap"):
        assert known_to(scheme) <= everywhere, scheme


def test_no_network_is_asked_for_what_its_anatomies_lack() -> None:
    own = known_to("atlas")
    for name in SEGMENTATIONS:
        assert set(load_recipe(name).channels) - {0, -1, 151} <= own, name


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_a_recipe_names_all_muscles_of_its_region(name: str) -> None:
    recipe = load_recipe(name)
    region = {
        e.index
        for e in load_labels()
        if e.region == REGIONS[name] and e.tissue == "muscle" and e.index in known_to("atlas")
    }
    # a muscle of the thigh that ends below the hip (biceps, short head) is not of the hip
    assert region <= set(recipe.channels)
    assert recipe.region in REGION_REACH
    assert recipe.region in STACKS
    assert {0, -1, 151} <= set(recipe.channels)


def test_the_hip_has_everything_that_the_visible_human_has_there() -> None:
    # seen in both maps from 90 mm below the ischium up: the thigh but for what ends above the
    # knee, the muscles of the hip, hip bone, femur and sacrum
    thigh = set(load_recipe("thigh").channels)
    channels = load_recipe("hip").channels
    assert thigh - set(channels) == {33, 105}
    assert set(channels) - thigh == {75, 79, 81, 83, 85, 87, 89, 121}


def test_the_sacrum_is_learnt_on_either_side() -> None:
    channels = load_recipe("hip").channels
    for side in ("left", "right"):
        assert channel_table(channels, side)[121] == channels.index(121)


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_either_side_is_learnt_with_the_same_channels(name: str) -> None:
    channels = load_recipe(name).channels
    left, right = (channel_table(channels, side) for side in ("left", "right"))
    for number, label in enumerate(channels):
        if label in (0, -1, 121, 151):
            continue
        assert left[label] == right[label + 1] == number
        assert left[label + 1] == right[label] == 0


def test_partial_people_need_people_and_all_their_muscles() -> None:
    for name in SEGMENTATIONS:
        recipe = load_recipe(name)
        assert 0 <= recipe.partial_share < 1
        if recipe.partial_share:
            assert recipe.people
            assert set(MUSCLES.values()) <= set(recipe.channels)
    assert load_recipe("thigh").partial_share > 0


def test_a_recipe_without_a_share_has_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = 'kind = "segmentation"\nregion = "upper"\nanatomies = ["vhm"]\nchannels = [0, 55]\n'
    rest = '[network]\nname = "ResidualUNet3d"\n[optimiser]\nbatch = 1\nlearning_rate = 1e-3\n'
    path.write_text(f"{text}{rest}weight_decay = 0.0\n")
    assert load_recipe(str(path)).partial_share == 0.0
    path.write_text(f"partial_share = 0.25\n{text}{rest}weight_decay = 0.0\n")
    assert load_recipe(str(path)).partial_share == 0.25
