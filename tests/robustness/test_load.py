"""A small study with every kind of broken image, run to its end by two workers.

``benchmarks/load.py`` does the same with 200 participants.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from study import DAMAGE, Load, Study, problems, run_study, write_study

PARTICIPANTS = 10


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    return write_study(folder / "bids", PARTICIPANTS, len(DAMAGE))


@pytest.fixture(scope="module")
def load(study: Study, tiny_models: Path) -> Load:
    options = ("--nprocs", "2", "--omp-nthreads", "1")
    return run_study(study, study.root.parent / "out", tiny_models, *options)


def test_everything_that_can_be_segmented_is(study: Study, load: Load) -> None:
    assert problems(study, load, study.root.parent / "out") == []


def test_all_kinds_of_damage_are_there(study: Study) -> None:
    assert sorted(study.broken.values()) == sorted(DAMAGE)


def test_no_file_stays_open(load: Load) -> None:
    """Pipes to workers come at the start; then there are no more of them."""
    early, late = (
        max(s.descriptors for s in load.samples if (s.seconds > load.seconds / 2) == second)
        for second in (False, True)
    )
    assert late <= early + 3
