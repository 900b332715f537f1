from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.composite import UNNAMED, Composite
from legseg_bids.synth.ranges import Ranges
from legseg_bids.synth.register import MUSCLES
from legseg_bids.train.batches import segmentation_batch
from legseg_bids.train.loop import (
    VALIDATION_SEED,
    make_batch,
    named_channels,
    new_state,
    train_step,
)
from legseg_bids.train.losses import partial_loss, segmentation_loss
from legseg_bids.train.recipe import Recipe, load_recipe

CLASSES = 5
#: Classes 1 and 2 are labelled in every image.
NAMED = torch.tensor([False, True, True, False, False])
SHAPE = (2, 2, 4, 4)
SEEDS = st.integers(0, 10_000)
EXAMPLES = settings(max_examples=12)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are not worth a second thread, least of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(seed: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Random logits, and a target of which everything is known."""
    own = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(SHAPE[0], CLASSES, *SHAPE[1:], generator=own)
    return logits, torch.randint(0, CLASSES, SHAPE, generator=own)


def hidden(target: Tensor, share: float, seed: int) -> Tensor:
    """The target with a share of what is no labelled muscle unnamed."""
    own = torch.Generator().manual_seed(seed + 1)
    forgotten = (torch.rand(SHAPE, generator=own) < share) & ~NAMED[target]
    return torch.where(forgotten, UNNAMED, target)


def slope(logits: Tensor, target: Tensor, named: Tensor = NAMED) -> Tensor:
    """Gradient of the loss."""
    own = logits.clone().requires_grad_()
    (out,) = torch.autograd.grad(partial_loss(own, target, named), own)
    return out


@EXAMPLES
@given(SEEDS, st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES))
def test_where_everything_is_known_it_is_the_usual_loss(seed: int, named: list[bool]) -> None:
    logits, target = drawn(seed)
    found = partial_loss(logits, target, torch.tensor(named))
    assert float(found) == pytest.approx(float(segmentation_loss(logits, target)), rel=1e-5)


@EXAMPLES
@given(SEEDS)
def test_where_everything_is_known_the_gradient_is_the_usual_one(seed: int) -> None:
    logits, target = drawn(seed)
    own = logits.clone().requires_grad_()
    (usual,) = torch.autograd.grad(segmentation_loss(own, target), own)
    assert torch.allclose(slope(logits, target), usual, atol=1e-6)


def test_the_classes_that_nobody_labelled_are_one() -> None:
    # one voxel: entropy is minus the logarithm of the summed probability of classes 0, 3 and 4
    logits = torch.tensor([1.0, 2.0, 0.5, -1.0, 0.0]).reshape(1, CLASSES, 1, 1, 1)
    p = logits.flatten().softmax(0)
    by_hand = -float((p[0] + p[3] + p[4]).log())
    loss = partial_loss(logits, torch.full((1, 1, 1, 1), UNNAMED), NAMED)
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


def test_a_known_and_an_unnamed_voxel_by_hand() -> None:
    logits = torch.zeros(1, 3, 1, 1, 2)  # every probability is a third
    target = torch.tensor([1, UNNAMED]).reshape(1, 1, 1, 2)
    named = torch.tensor([False, True, False])
    entropy = (np.log(3) + np.log(1.5)) / 2
    # class 1 alone is there: overlap 1/3, its probability everywhere 2/3, its size 1
    dice = (2 / 3 + 1) / (2 / 3 + 1 + 1)
    assert float(partial_loss(logits, target, named)) == pytest.approx(entropy + 1 - dice)
    # were class 1 not named, only the known voxel would count
    entropy = (np.log(3) + 0.0) / 2
    dice = (2 / 3 + 1) / (1 / 3 + 1 + 1)
    nobody = torch.zeros(3, dtype=torch.bool)
    assert float(partial_loss(logits, target, nobody)) == pytest.approx(entropy + 1 - dice)


@EXAMPLES
@given(SEEDS, st.floats(0.1, 1.0))
def test_unnamed_voxels_push_the_named_classes_out(seed: int, share: float) -> None:
    logits, target = drawn(seed)
    unnamed = hidden(target, share, seed)
    gradient = slope(logits, unnamed).movedim(1, -1)[unnamed < 0]
    assert bool((gradient[:, NAMED] > 0).all())  # a step against it makes them less likely
    assert bool((gradient[:, ~NAMED] < 0).all())


@EXAMPLES
@given(SEEDS, st.floats(0.1, 1.0))
def test_unnamed_voxels_say_nothing_between_the_unnamed(seed: int, share: float) -> None:
    logits, target = drawn(seed)
    unnamed = hidden(target, share, seed)
    gradient = slope(logits, unnamed).movedim(1, -1)[unnamed < 0][:, ~NAMED]
    # in proportion to what the network thinks already: their ratios stay
    ratio = gradient / logits.softmax(1).movedim(1, -1)[unnamed < 0][:, ~NAMED]
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=1e-6)


@EXAMPLES
@given(SEEDS)
def test_unnamed_voxels_do_not_care_which_unnamed_class_it_is(seed: int) -> None:
    logits, target = drawn(seed)
    unnamed = torch.where(NAMED[target], target, UNNAMED)
    swapped = logits[:, [3, 1, 2, 4, 0]]
    assert float(partial_loss(logits, unnamed, NAMED)) == pytest.approx(
        float(partial_loss(swapped, unnamed, NAMED)), rel=1e-5
    )


def test_a_class_that_is_only_unnamed_is_not_pulled_down() -> None:
    # the network is sure of class 3 in every unnamed voxel, and right in every other
    target = torch.tensor([1, 1, 2, 2, UNNAMED, UNNAMED]).reshape(1, 1, 1, 6)
    sure = torch.tensor([1, 1, 2, 2, 3, 3]).reshape(1, 1, 1, 6)
    logits = 15.0 * torch.nn.functional.one_hot(sure, CLASSES).movedim(-1, 1).float()
    assert float(partial_loss(logits, target, NAMED)) < 1e-3
    assert float(slope(logits, target)[:, 3].abs().max()) < 1e-4


def test_an_unnamed_class_is_judged_only_where_everything_is_known() -> None:
    # class 3 is right where it is known; of what it fills elsewhere nothing is known
    target = torch.tensor([1, 2, 3, 3, *[UNNAMED] * 8]).reshape(1, 1, 1, 12)
    sure = torch.tensor([1, 2, 3, 3, *[3] * 8]).reshape(1, 1, 1, 12)
    logits = 15.0 * torch.nn.functional.one_hot(sure, CLASSES).movedim(-1, 1).float()
    assert float(partial_loss(logits, target, NAMED)) < 1e-3
    as_muscle = torch.where(sure == 3, 1, sure)  # a muscle that spreads there is wrong
    wrong = 15.0 * torch.nn.functional.one_hot(as_muscle, CLASSES).movedim(-1, 1).float()
    assert float(partial_loss(wrong, target, NAMED)) > 5.0


@EXAMPLES
@given(SEEDS)
def test_knowing_less_costs_no_more_entropy(seed: int) -> None:
    logits, target = drawn(seed)
    nothing = torch.full(SHAPE, UNNAMED)
    unnamed = torch.where(NAMED[target], 0, target)
    entropy = torch.nn.functional.cross_entropy(logits, unnamed)
    assert float(partial_loss(logits, nothing, NAMED)) <= float(entropy) + 1e-5


@EXAMPLES
@given(SEEDS)
def test_nothing_but_unnamed_voxels_is_a_loss_too(seed: int) -> None:
    logits, nothing = drawn(seed)[0], torch.full(SHAPE, UNNAMED)
    loss, gradient = partial_loss(logits, nothing, NAMED), slope(logits, nothing)
    assert 0 <= float(loss) < float("inf")
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.abs().sum()) > 0


def test_any_negative_number_is_unnamed() -> None:
    logits, target = drawn(1)
    unnamed = hidden(target, 0.5, 1)
    other = torch.where(unnamed < 0, -7, unnamed)
    assert float(partial_loss(logits, unnamed, NAMED)) == float(partial_loss(logits, other, NAMED))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_halves_are_added_up_in_single_precision(kind: torch.dtype, share: float) -> None:
    logits, target = drawn(3, spread=8.0)
    unnamed, half = hidden(target, share, 3), logits.to(kind)
    loss = partial_loss(half, unnamed, NAMED)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(partial_loss(half.float(), unnamed, NAMED)))
    gradient = slope(half, unnamed)
    assert gradient.dtype == kind
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("certainty", [60.0, 1e4])
def test_a_network_that_is_sure_and_wrong_has_a_finite_loss(certainty: float) -> None:
    logits = torch.zeros(1, CLASSES, 1, 2, 2)
    logits[:, 1] = certainty
    nothing = torch.full((1, 1, 2, 2), UNNAMED)
    assert float(partial_loss(logits, nothing, NAMED)) == pytest.approx(certainty, rel=0.05)
    assert bool(torch.isfinite(slope(logits, nothing)).all())


def test_gradients_agree_with_differences() -> None:
    logits, target = drawn(5)
    unnamed = hidden(target, 0.6, 5)
    exact = logits.double()
    gradient = slope(logits, unnamed)
    rng = np.random.default_rng(0)
    for _ in range(10):
        at = tuple(int(rng.integers(n)) for n in logits.shape)
        above, below = exact.clone(), exact.clone()
        above[at] += 1e-2
        below[at] -= 1e-2
        rise = partial_loss(above, unnamed, NAMED) - partial_loss(below, unnamed, NAMED)
        assert float(rise) / 2e-2 == pytest.approx(float(gradient[at]), abs=2e-4)


# in the training ---------------------------------------------------------------------------


@pytest.fixture
def composite(anatomy: Anatomy) -> Composite:
    """The phantom's left thigh as if only its muscles were labelled: they are, in the phantom."""
    rows = anatomy.packed[45:85]
    centre = {"left": anatomy.centre["left"][45:85]}
    marks = anatomy.landmarks
    one = replace(anatomy, packed=rows, centre=centre, landmarks={"left": marks["left"]})
    return Composite("someone-left", one)


def test_named_channels_are_those_of_the_partial_maps() -> None:
    recipe = load_recipe("thigh")
    named = named_channels(recipe)
    assert named.dtype == torch.bool
    assert int(named.sum()) == len(MUSCLES)
    labels = {c for c, there in zip(recipe.channels, named.tolist(), strict=True) if there}
    assert labels == set(MUSCLES.values())
    assert not named[0]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_recipes_share_of_the_stacks_is_of_these_people(
    anatomy: Anatomy, thigh: Recipe, composite: Composite, share: float
) -> None:
    recipe = replace(thigh, batch=3, partial_share=share)
    image, target = segmentation_batch(recipe, [anatomy], 4, Ranges(), "small", [composite])
    assert image.shape == (3, 1, 4, 32, 32)
    assert bool((target < 0).flatten(1).any(1).all()) == bool(share)
    assert bool((target < 0).any()) == bool(share)


def test_shares_in_between_are_mixed(
    anatomy: Anatomy, thigh: Recipe, composite: Composite
) -> None:
    recipe, partial = replace(thigh, batch=2, partial_share=0.3), []
    for seed in range(6):
        _, target = segmentation_batch(recipe, [anatomy], seed, Ranges(), "small", [composite])
        partial += (target < 0).flatten(1).any(1).tolist()
    assert 1 <= sum(partial) <= 9


def test_batches_of_these_people_repeat(
    anatomy: Anatomy, thigh: Recipe, composite: Composite
) -> None:
    recipe = replace(thigh, batch=2, partial_share=0.5)
    a, b = (make_batch(recipe, [anatomy], 3, Ranges(), 0.1, [composite]) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    # no composites, no unnamed voxels: the validation is of whole anatomies
    whole = make_batch(recipe, [anatomy], VALIDATION_SEED, Ranges())
    assert int(whole[1].min()) >= 0


def test_steps_with_these_people_make_the_loss_smaller(
    anatomy: Anatomy, thigh: Recipe, composite: Composite
) -> None:
    torch.set_num_threads(1)
    recipe = replace(thigh, batch=2, partial_share=1.0)
    batch = make_batch(recipe, [anatomy], 3, Ranges(), 0.1, [composite])
    state = new_state(recipe, "cpu")
    losses = [train_step(recipe, state, batch, 0.1, "cpu") for _ in range(12)]
    assert all(np.isfinite(losses))
    assert losses[-1] < 0.9 * losses[0]
