from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from labelled import recipe_text, write_labelled

from legseg_bids.interfaces.prepare import prepare
from legseg_bids.train.own.loading import Patches, batches
from legseg_bids.train.own.recipe_file import load_recipe
from legseg_bids.train.own.training import make_ready


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Patches:
    folder = tmp_path_factory.mktemp("own")
    write_labelled(folder / "a", 1)
    (folder / "mine.toml").write_text(recipe_text("a"))
    ready = make_ready(load_recipe(folder / "mine.toml"), folder / "run", prepare, lambda _: None)
    return Patches(ready.recipe, ready.limbs, folder / "run/limbs", ready.channels)


def test_patches_have_the_size_and_channels_of_the_recipe(patches: Patches) -> None:
    image, labels, known, spacing = patches[3]
    assert image.shape == (1, 4, 24, 24)
    assert labels.shape == (4, 24, 24)
    assert set(np.unique(labels)) <= {-1, 0, 1, 2}
    assert known.tolist() == [True] * 4
    assert spacing == pytest.approx([10.0, 6.0, 6.0], rel=0.1)


def test_a_patch_follows_from_its_number(patches: Patches) -> None:
    for first, again in zip(patches[5], patches[5], strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(patches[5][0], patches[6][0])


def test_a_resumed_stream_goes_on_where_it_stopped(patches: Patches) -> None:
    whole, late = batches(patches, 0, 0), batches(patches, 2, 0)
    seen = [next(whole) for _ in range(4)]
    for batch in seen[2:]:
        assert torch.equal(batch.image, next(late).image)
    assert seen[0].image.shape == (2, 1, 4, 24, 24)
    assert seen[0].labels.dtype == torch.int64


def test_a_worker_needs_little_to_begin_with(patches: Patches) -> None:
    patches[0]  # reads the table of augmentations, which cannot be sent
    assert len(pickle.dumps(patches)) < 10_000
    again = pickle.loads(pickle.dumps(patches))
    np.testing.assert_array_equal(again[1][0], patches[1][0])


def test_processes_change_nothing(patches: Patches) -> None:
    alone, helped = batches(patches, 0, 0), batches(patches, 0, 1)
    for _ in range(2):
        one, other = next(alone), next(helped)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.labels, other.labels)


def test_unlike_contrasts_are_both_drawn(tmp_path: Path, patches: Patches) -> None:
    limb = patches.limbs[0]
    image = np.load(patches.folder / limb.image)
    np.save(tmp_path / limb.image, np.concatenate([image * 0 + 0.25, image * 0 + 1.0]))
    np.save(tmp_path / limb.labels, np.load(patches.folder / limb.labels))
    plain = Patches(
        type(patches.recipe)(**{**vars(patches.recipe), "augment": {}}), [limb], tmp_path, (0, 31)
    )
    assert {float(plain[n][0].max()) for n in range(12)} == {0.25, 1.0}
