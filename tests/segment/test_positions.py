"""The dynamic programme against exhaustive search, and its rules one by one."""

from __future__ import annotations

from itertools import combinations_with_replacement, groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from legseg_bids.anatomy.regions import Part
from legseg_bids.segment.positions import best_sequence, shortest_run


def allowed(parts: tuple[int, ...], min_run: int) -> bool:
    """Whether a rising sequence keeps the rules, told without the programme's own words."""
    runs = [(part, len(list(group))) for part, group in groupby(parts)]
    steps = [b[0] - a[0] for a, b in pairwise(runs)]
    if min_run > 0 and any(step != 1 for step in steps):
        return False
    return all(length >= min_run for _, length in runs[1:-1])


def exhaustive(scores: np.ndarray, min_run: int) -> float:
    """Best score over all allowed sequences in both directions."""
    best = -np.inf
    for table in (scores, scores[::-1]):
        for parts in combinations_with_replacement(range(5), len(table)):
            if allowed(parts, min_run):
                best = max(best, float(sum(table[i, p] for i, p in enumerate(parts))))
    return best


@settings(max_examples=150, deadline=None)
@given(
    scores=st.integers(1, 7).flatmap(
        lambda n: arrays(np.float64, (n, 5), elements=st.integers(-20, 0).map(float))
    ),
    min_run=st.integers(0, 4),
)
def test_equals_exhaustive_search(scores: np.ndarray, min_run: int) -> None:
    found = best_sequence(scores, min_run)
    assert found.score == exhaustive(scores, min_run)
    assert found.score == sum(scores[i, p] for i, p in enumerate(found.parts))
    assert allowed(found.parts[:: found.direction], min_run)


@settings(max_examples=50, deadline=None)
@given(
    scores=st.integers(1, 12).flatmap(
        lambda n: arrays(np.float64, (n, 5), elements=st.integers(-20, 0).map(float))
    ),
    min_run=st.integers(0, 4),
)
def test_reversed_stack_scores_the_same(scores: np.ndarray, min_run: int) -> None:
    forward, backward = best_sequence(scores, min_run), best_sequence(scores[::-1], min_run)
    assert forward.score == backward.score


def certain(parts: str, miss: float = 0.02) -> np.ndarray:
    """Log-probabilities of a classifier sure of F(oot) L(ower) K(nee) U(pper) H(ip)."""
    table = np.full((len(parts), 5), miss)
    table[np.arange(len(parts)), ["FLKUH".index(p) for p in parts]] = 1 - 4 * miss
    return np.log(table)


def spell(parts: tuple[Part, ...]) -> str:
    return "".join("FLKUH"[p] for p in parts)


@pytest.mark.parametrize(
    ("seen", "min_run", "expected", "direction"),
    [
        ("LLLKKKUUU", 3, "LLLKKKUUU", 1),
        ("UUUKKKLLL", 3, "UUUKKKLLL", -1),  # stored head first
        ("UUUULUUUU", 3, "UUUUUUUUU", 1),  # one slice misread
        ("LLLLKUUUU", 3, "LLLLKKKUU", 1),  # inner run too short: lengthened
        ("LLLLHLL", 3, "LLLLLLL", 1),  # a hip within the calf is noise
        ("KUUUUUU", 5, "KUUUUUU", 1),  # the first run may be short
        ("LLLLLLK", 5, "LLLLLLK", 1),  # so may the last
        ("UUUUUU", 5, "UUUUUU", 1),
        ("LLLUUU", 0, "LLLUUU", 1),  # slices so far apart that the knee is stepped over
        ("K", 5, "K", 1),
    ],
)
def test_examples(seen: str, min_run: int, expected: str, direction: int) -> None:
    found = best_sequence(certain(seen), min_run)
    score = sum(certain(seen)[i, "FLKUH".index(p)] for i, p in enumerate(expected))
    assert found.score == pytest.approx(score)
    assert found.direction == direction
    if seen == expected:
        assert spell(found.parts) == expected


def test_no_part_is_skipped() -> None:
    found = best_sequence(certain("LLLLUUUU"), 2)
    assert "K" in spell(found.parts) or len(set(found.parts)) == 1


def test_margin_keeps_the_direction_of_the_affine() -> None:
    seen = certain("UUK", miss=0.15)
    assert best_sequence(seen, 1).direction == -1
    assert best_sequence(seen, 1, margin=5.0).direction == 1


def test_long_stack_is_fast() -> None:
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(5), 2000))
    assert len(best_sequence(scores, 30).parts) == 2000


@pytest.mark.parametrize(
    ("scores", "min_run", "message"),
    [
        (np.zeros((3, 4)), 1, "shape"),
        (np.zeros(5), 1, "shape"),
        (np.zeros((0, 5)), 1, "shape"),
        (np.full((2, 5), -np.inf), 1, "not finite"),
        (np.full((2, 5), np.nan), 1, "not finite"),
        (np.zeros((2, 5)), -1, "min_run"),
    ],
)
def test_bad_input(scores: np.ndarray, min_run: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_sequence(scores, min_run)


@pytest.mark.parametrize(("distance", "run"), [(1.0, 30), (6.0, 5), (29.0, 1), (31.0, 0)])
def test_shortest_run(distance: float, run: int) -> None:
    assert shortest_run(distance) == run


def test_shortest_run_needs_a_distance() -> None:
    with pytest.raises(ValueError, match="slice distance"):
        shortest_run(0.0)
