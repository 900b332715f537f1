from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from legseg_bids.errors import UsageError
from legseg_bids.train.augment import (
    KINDS,
    Sample,
    Sides,
    augmentation,
    load_augmentation,
    random_patch,
    read_augmentation,
    shipped_augmentations,
    spatial,
)

ALWAYS = {name: {"probability": 1} for name in KINDS}


def sample(shape=(6, 40, 48)) -> Sample:
    """Two limbs of two muscles each, a bone without side, and a patch that nobody looked at."""
    labels = torch.zeros(shape, dtype=torch.long)
    for label, x in ((61, 4), (55, 12), (62, 36), (56, 28)):
        labels[:, 10:30, x : x + 8] = label
    labels[:, 2:5, 2:5] = -1
    labels[:, 32:35, 20:28] = 151
    grey = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return Sample(((labels > 0) * 10 + grey).abs()[None], labels, (6.0, 2.0, 2.0))


def same(a: Sample, b: Sample) -> bool:
    return torch.equal(a.image, b.image) and torch.equal(a.labels, b.labels)


def test_names_of_recipes_never_change() -> None:
    assert tuple(KINDS) == (
        "mirror",
        "limbs",
        "skew",
        "scale",
        "rotation",
        "translation",
        "piecewise_affine",
        "elastic",
        "blur",
        "sharpen",
        "contrast",
        "brightness",
        "rician",
        "salt_and_pepper",
    )


def test_a_seed_is_a_sample() -> None:
    all_of_them = read_augmentation(ALWAYS)
    first = all_of_them.apply(sample(), 7)
    torch.manual_seed(99)
    assert same(first, all_of_them.apply(sample(), 7))
    assert not same(first, all_of_them.apply(sample(), 8))


@pytest.mark.parametrize("name", [n for n in KINDS if n != "mirror"])
def test_neighbouring_seeds_differ(name: str) -> None:
    one = read_augmentation({name: {"probability": 1}})
    assert not same(one.apply(sample(), 0), one.apply(sample(), 1))


def test_leaving_one_out_does_not_change_the_others() -> None:
    table = {"rotation": {"probability": 1}, "contrast": {"probability": 1}}
    both = read_augmentation(table).apply(sample(), 3)
    turned = read_augmentation({"rotation": {"probability": 1}}).apply(sample(), 3)
    assert torch.equal(both.labels, turned.labels)


def test_all_spatial_ones_share_one_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = spatial.resampled
    monkeypatch.setattr(spatial, "resampled", lambda *a: calls.append(1) or real(*a))
    read_augmentation(ALWAYS).apply(sample(), 0)
    assert len(calls) == 1


def test_image_and_labels_move_together() -> None:
    table = {n: o for n, o in ALWAYS.items() if hasattr(KINDS[n], "draw") or n == "mirror"}
    before = sample()
    marked = Sample((before.labels > 0).float()[None], before.labels, before.spacing)
    for seed in range(4):
        after = read_augmentation(table).apply(marked, seed)
        agree = ((after.image[0] > 0.5) == (after.labels > 0)).float().mean()
        assert float(agree) > 0.97
        assert set(torch.unique(after.labels).tolist()) <= {-1, 0, 61, 62, 55, 56, 151}


def test_order_is_that_of_the_names_not_of_the_table() -> None:
    table = {"scale": {"probability": 1}, "translation": {"probability": 1}}
    backwards = dict(reversed(table.items()))
    assert same(*(read_augmentation(t).apply(sample(), 5) for t in (table, backwards)))


def test_later_ones_act_on_what_earlier_ones_did() -> None:
    """Scaled by 2 first, then shifted by 8 mm: the shift is not doubled."""
    table = {
        "scale": {"probability": 1, "in_plane": [2, 2], "along": [1, 1]},
        "translation": {"probability": 1, "in_plane": [8, 8]},
    }
    labels = torch.zeros(1, 41, 41, dtype=torch.long)
    labels[0, 18:23, 18:23] = 61
    after = read_augmentation(table).apply(
        Sample(labels[None].float(), labels, (6.0, 2.0, 2.0)), 0
    )
    where = spatial.places(after)[:, after.labels == 61]
    assert torch.allclose(where.mean(1), torch.tensor([0.0, 8.0, 8.0]), atol=0.1)


def test_probability_is_how_often() -> None:
    table = read_augmentation({"brightness": {"probability": 0.3, "shift": [1, 1]}})
    small = Sample(torch.ones(1, 1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), (1, 1, 1))
    changed = sum(float(table.apply(small, s).image[0, 0, 0, 0]) > 1 for s in range(400))
    assert changed == pytest.approx(120, abs=35)


def test_nothing_is_changed_in_place() -> None:
    before, kept = sample(), sample()
    read_augmentation(ALWAYS).apply(before, 1)
    assert same(before, kept)


# --------------------------------------------------------------------- mirror


def test_mirror_swaps_the_sides_without_resampling() -> None:
    before = sample()
    after = read_augmentation({"mirror": {"probability": 1}}).apply(before, 0)
    assert torch.equal(after.image, before.image.flip(-1))
    # in this symmetric phantom, the mirrored and renamed muscles lie where they were
    muscles = (before.labels > 0) & (before.labels != 151)
    assert torch.equal(after.labels[muscles], before.labels[muscles])
    assert torch.equal(after.labels == 151, (before.labels == 151).flip(-1))
    assert torch.equal(after.labels == -1, (before.labels == -1).flip(-1))


def test_mirror_twice_is_nothing() -> None:
    mirror = read_augmentation({"mirror": {"probability": 1}})
    assert same(mirror.apply(mirror.apply(sample(), 0), 1), sample())


def test_own_label_tables_have_own_sides() -> None:
    labels = torch.tensor([[[1, 2, 9]]])
    own = Sides({1: 2, 2: 1, 9: 9}, frozenset({1}), frozenset({2}))
    mirror = read_augmentation({"mirror": {"probability": 1}})
    after = mirror.apply(Sample(labels[None].float(), labels, (1, 1, 1)), 0, own)
    assert after.labels.tolist() == [[[9, 1, 2]]]


def test_a_label_that_may_have_a_side_is_named() -> None:
    labels = torch.tensor([[[1, 777]]])
    mirror = read_augmentation({"mirror": {"probability": 1}})
    with pytest.raises(UsageError, match="label 777 has no partner"):
        mirror.apply(Sample(labels[None].float(), labels, (1, 1, 1)), 0)


# -------------------------------------------------------------------- patches


def test_patches_keep_image_and_labels_together() -> None:
    before = sample()
    marked = Sample(before.labels[None].float(), before.labels, before.spacing)
    patches = [random_patch(marked, (4, 16, 16), seed) for seed in range(20)]
    for patch in patches:
        assert patch.shape == (4, 16, 16)
        assert torch.equal(patch.image[0].long(), patch.labels)
    assert len({p.labels.sum().item() for p in patches}) > 10


def test_patches_are_laid_around_labels() -> None:
    labels = torch.zeros(8, 60, 60, dtype=torch.long)
    labels[2, 50, 7] = 61
    lonely = Sample(torch.zeros(1, 8, 60, 60), labels, (6.0, 2.0, 2.0))
    found = [int(random_patch(lonely, (4, 10, 10), s, 1.0).labels.sum()) for s in range(30)]
    assert found == [61] * 30
    anywhere = [int(random_patch(lonely, (4, 10, 10), s, 0.0).labels.sum()) for s in range(30)]
    assert sum(anywhere) < 61 * 15


def test_patches_reach_every_corner() -> None:
    labels = torch.arange(27).reshape(3, 3, 3)
    whole = Sample(labels[None].float(), labels, (1, 1, 1))
    seen = {int(random_patch(whole, (1, 1, 1), s, 0.0).labels) for s in range(400)}
    assert seen == set(range(27))


def test_small_images_get_air_around() -> None:
    small = Sample(torch.ones(1, 2, 3, 3), torch.full((2, 3, 3), 61), (6.0, 2.0, 2.0))
    patch = random_patch(small, (4, 8, 2), 0)
    assert patch.shape == (4, 8, 2)
    assert int((patch.labels == 61).sum()) == 2 * 3 * 2


# --------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", shipped_augmentations())
def test_shipped_tables_work(name: str) -> None:
    after = load_augmentation(name).apply(sample(), 1)
    assert after.shape == sample().shape


def test_the_table_of_the_legs_has_everything() -> None:
    assert set(load_augmentation("legs").steps) == set(KINDS)


def test_tables_of_a_recipe_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('loss = "dice"\n[augment.blur]\nsigma = [1, 2]\n[augment.mirror]\n')
    steps = load_augmentation(str(path)).steps
    assert steps["blur"].sigma == (1.0, 2.0)
    assert steps["mirror"].probability == 0.5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"flip": {}}, "unknown augmentation 'flip'.*mirror"),
        ({"blur": {"radius": 1}}, "blur has no option 'radius'; it has: probability, sigma"),
        ({"blur": {"sigma": 1}}, r"sigma = 1; expected \[lowest, highest\]"),
        ({"blur": {"sigma": [2, 1]}}, r"sigma = \[2, 1\]; expected"),
        ({"blur": {"sigma": [0, 1, 2]}}, "expected"),
        ({"blur": {"sigma": ["a", "b"]}}, "expected"),
        ({"elastic": {"knots": [1, 2]}}, r"knots = \[1, 2\]; expected a number"),
        ({"blur": {"probability": 1.5}}, "probability = 1.5; expected 0 to 1"),
        ({"mirror": {"probability": True}}, "expected a number"),
    ],
)
def test_mistakes_are_named(table, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_augmentation(table)


def test_files_that_are_no_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="legs, qmritools"):
        load_augmentation("arms")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(UsageError, match="cannot read"):
        load_augmentation(str(tmp_path / "bad.toml"))
    (tmp_path / "none.toml").write_text("a = 1")
    with pytest.raises(UsageError, match="has no table"):
        load_augmentation(str(tmp_path / "none.toml"))


def test_grids_must_agree() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        Sample(torch.zeros(1, 2, 3, 3), torch.zeros(2, 3, 4, dtype=torch.long), (1, 1, 1))


def test_names_are_mixed_into_all_bits_of_the_seed() -> None:
    """PyTorch's generator looks at 32 bits only: none of them may be lost."""
    draws = {augmentation._draw(seed, "blur").uniform(0, 1) for seed in range(1000)}
    assert len(draws) > 990
