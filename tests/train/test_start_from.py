from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load, save
from torch import Tensor

from legseg_bids.errors import LegsegError
from legseg_bids.segment.models import TORCH
from legseg_bids.train.export import rounded, segmentation_facts
from legseg_bids.train.loop import State, new_state, save_state, start_from, update_average
from legseg_bids.train.recipe import Recipe, load_recipe

MODELS = Path(__file__).parents[2] / "models"
STEPS, MINUTES = 321, 4.5


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth a second thread, least of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def differing(recipe: Recipe, seed: int = 9) -> State:
    """A state whose weights are not those that a new one begins with."""
    return new_state(replace(recipe, seed=seed), "cpu")


def write_model(folder: Path, recipe: Recipe, weights: Mapping[str, Tensor]) -> Path:
    """A model's folder as the export writes it, without what the application computes with."""
    content = save(rounded(weights))
    legseg = {
        **segmentation_facts(recipe),
        "bytes_per_voxel": 1000,
        "network": dict(recipe.network),
        "sha256": {TORCH: hashlib.sha256(content).hexdigest()},
        "trained": {"steps": STEPS, "minutes": MINUTES},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    facts = {"version": "1.0", "legseg": legseg}
    (folder / "configs" / "metadata.json").write_text(json.dumps(facts))
    (folder / TORCH).write_bytes(content)
    return folder


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor], tolerance: float = 0.0) -> bool:
    return set(a) == set(b) and all(
        torch.allclose(a[k].float(), b[k].float(), atol=tolerance, rtol=0) for k in a
    )


# a checkpoint ------------------------------------------------------------------------------


def test_a_checkpoint_gives_its_average_and_counts_on(thigh: Recipe, tmp_path: Path) -> None:
    first = differing(thigh)
    first.average = {k: v + 1 for k, v in first.average.items()}
    first.step, first.seconds, first.since = 12, 90.0, 30.0
    save_state(first, tmp_path / "checkpoint.pt")
    state = new_state(thigh, "cpu")
    start_from(state, tmp_path / "checkpoint.pt", thigh)
    assert same(state.average, first.average)
    assert same(state.network.state_dict(), first.average)
    assert (state.step, state.seconds, state.since) == (12, 90.0, 90.0)
    assert state.share(1.0) == 0.0
    assert not state.optimiser.state
    other = new_state(thigh, "cpu")
    start_from(other, tmp_path, thigh)  # the run's folder does as well
    assert same(other.average, first.average)


# a model of the same structures ------------------------------------------------------------


def test_a_model_of_the_same_channels_counts_on(thigh: Recipe, tmp_path: Path) -> None:
    first = differing(thigh)
    folder = write_model(tmp_path / "model", thigh, first.average)
    state = new_state(thigh, "cpu")
    assert not same(state.average, first.average)
    start_from(state, folder, thigh)
    assert (state.step, state.seconds, state.since) == (STEPS, 60 * MINUTES, 60 * MINUTES)
    assert state.share(1.0) == 0.0
    assert same(state.average, first.average, tolerance=1e-3)  # a model's numbers are halves
    assert same(state.network.state_dict(), state.average)
    assert all(v.dtype != torch.float16 for v in state.average.values())


def test_the_average_is_no_view_of_the_weights(thigh: Recipe, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", thigh, differing(thigh).average)
    for recipe in (thigh, replace(thigh, channels=(0, 55, -1))):
        state = new_state(recipe, "cpu")
        start_from(state, folder, recipe)
        before = {k: v.clone() for k, v in state.average.items()}
        with torch.no_grad():
            for parameter in state.network.parameters():
                parameter.add_(1.0)
        assert same(state.average, before)
        update_average(state)
        assert not same(state.average, before)


# a model of other structures ---------------------------------------------------------------


@pytest.mark.parametrize(
    "channels",
    [
        (0, 59, 55, 61, 151),  # another order, one new, two fewer
        (0, 71, 73, 75),  # only the background in common
        (151, 103, 35, 31, 59, 55, 0),  # all of them, the other way round
        (0, 55, 59, 31, 35, 103, 151, -1),  # one more
    ],
)
def test_rows_of_common_labels_are_kept(
    thigh: Recipe, tmp_path: Path, channels: tuple[int, ...]
) -> None:
    first = differing(thigh)
    folder = write_model(tmp_path / "model", thigh, first.average)
    recipe = replace(thigh, channels=channels)
    state, fresh = new_state(recipe, "cpu"), new_state(recipe, "cpu")
    start_from(state, folder, recipe)
    known = rounded(first.average)
    for name in ("head.weight", "head.bias"):
        assert state.average[name].shape[0] == len(channels)
        for row, label in enumerate(channels):
            source, at = (fresh.average, row)
            if label in thigh.channels:
                source, at = known, thigh.channels.index(label)
            assert torch.equal(state.average[name][row], source[name][at].float()), (name, label)
    body = [k for k in state.average if not k.startswith("head.")]
    assert all(torch.equal(state.average[k].float(), known[k].float()) for k in body)
    assert same(state.network.state_dict(), state.average)
    # this is another network: its steps and minutes are its own
    assert (state.step, state.seconds, state.since) == (0, 0.0, 0.0)


def test_the_hip_begins_with_the_shipped_thigh() -> None:
    recipe, thigh = load_recipe("hip"), load_recipe("thigh")
    facts = json.loads((MODELS / "thigh/configs/metadata.json").read_text())["legseg"]
    weights = load((MODELS / "thigh/models/model.safetensors").read_bytes())
    state = new_state(recipe, "cpu")
    start_from(state, MODELS / "thigh", recipe)
    common = set(recipe.channels) & set(thigh.channels)
    assert len(common) > 15
    for label in common:
        row, at = recipe.channels.index(label), facts["channels"].index(label)
        assert torch.equal(state.average["head.weight"][row], weights["head.weight"][at].float())


@pytest.mark.parametrize("name", ["thigh", "lower_leg", "locator"])
def test_shipped_models_can_be_refined(name: str) -> None:
    recipe = load_recipe(name)
    state = new_state(recipe, "cpu")
    start_from(state, MODELS / name, recipe)
    trained = json.loads((MODELS / name / "configs/metadata.json").read_text())["legseg"][
        "trained"
    ]
    assert state.step == trained["steps"] > 0
    assert state.seconds == pytest.approx(60 * trained["minutes"])


# what is no model --------------------------------------------------------------------------


def broken(folder: Path, what: str, thigh: Recipe) -> Path:
    """Something that weights cannot be taken from."""
    if what == "nothing there":
        return folder / "missing.pt"
    if what == "an empty folder":
        folder.mkdir()
        return folder
    if what == "no checkpoint":
        folder.mkdir()
        (folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
        return folder / "checkpoint.pt"
    if what == "another network":
        network = {**thigh.network, "features": [4, 6, 8]}
        other = replace(thigh, network=network)
        return write_model(folder, other, new_state(other, "cpu").average)
    if what == "a locator":
        return Path(shutil.copytree(MODELS / "locator", folder))
    out = write_model(folder, thigh, new_state(thigh, "cpu").average)
    if what == "damaged weights":
        content = bytearray((out / TORCH).read_bytes())
        content[-1] ^= 1
        (out / TORCH).write_bytes(content)
    else:
        (out / TORCH).unlink()
    return out


@pytest.mark.parametrize(
    "what",
    [
        "nothing there",
        "an empty folder",
        "no checkpoint",
        "no weights",
        "damaged weights",
        "another network",
        "a locator",
    ],
)
def test_what_is_no_model_is_named(thigh: Recipe, tmp_path: Path, what: str) -> None:
    path = broken(tmp_path / "model", what, thigh)
    with pytest.raises((LegsegError, ValueError), match="expected"):
        start_from(new_state(thigh, "cpu"), path, thigh)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["model", "other channels", "checkpoint"])
def test_weights_go_to_the_device_of_the_network(thigh: Recipe, tmp_path: Path, kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    first = differing(thigh)
    save_state(first, tmp_path / "checkpoint.pt")
    folder = write_model(tmp_path / "model", thigh, first.average)
    recipe = replace(thigh, channels=(0, 55, -1)) if kind == "other channels" else thigh
    state = new_state(recipe, "cuda")
    start_from(state, tmp_path / "checkpoint.pt" if kind == "checkpoint" else folder, recipe)
    update_average(state)
    assert {v.device.type for v in state.average.values()} == {"cuda"}
