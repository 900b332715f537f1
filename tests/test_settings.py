from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from legseg_bids.settings import Settings, config_hash

#: What each field decides. A new field must find its place here, and so its author must have
#: thought about whether a result that was made with another value still holds.
PLACES = {"bids_dir", "output_dir", "work_dir"}
CHOICE = {"participants", "sessions", "filter_file"}
"""Which images: sources and neighbours of each result stand in its sidecar with check sums."""
WEIGHTS = {"models_dir"}
"""The folder itself does not matter; what lies in it does, by its check sums."""
FILES = {"write_probabilities", "merge_stations", "write_reports", "overwrite"}
"""Which files are made: a file that is wanted and missing is made, others are left alone."""
MEANS = {"engine", "device", "nprocs", "omp_nthreads", "memory", "plugin_file"}
"""How it is computed; equal up to rounding, which tests of engines, threads, memory show."""
CONDUCT = {
    "skip_bids_validation", "stop_on_first_crash", "clean_workdir", "write_graph",
    "resource_monitor", "random_seed",
}  # fmt: skip
"""What else happens; no step that makes a label sees it."""


def test_every_setting_is_known_to_change_results_or_not() -> None:
    groups = (PLACES, CHOICE, WEIGHTS, FILES, MEANS, CONDUCT)
    named = [name for group in groups for name in group]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(Settings))


@pytest.fixture
def hash_of(tiny_models: Path):  # type: ignore[no-untyped-def]
    from legseg_bids.workflows.run import choose_networks

    plain = Settings(Path("/in"), Path("/out"), models_dir=tiny_models, device="cpu")

    def of(**changes: object) -> str:
        return choose_networks(dataclasses.replace(plain, **changes)).config_hash

    return of


OTHER = {
    "bids_dir": Path("/x"),
    "output_dir": Path("/x"),
    "work_dir": Path("/x"),
    "participants": ("1",),
    "sessions": ("a",),
    "filter_file": Path("/x.json"),
    "write_probabilities": True,
    "merge_stations": False,
    "write_reports": False,
    "overwrite": True,
    "engine": "openvino",
    "device": "auto",
    "nprocs": 7,
    "omp_nthreads": 7,
    "memory": 7,
    "plugin_file": Path("/x.yml"),
    "skip_bids_validation": True,
    "stop_on_first_crash": True,
    "clean_workdir": True,
    "write_graph": True,
    "resource_monitor": True,
    "random_seed": 7,
}


@pytest.mark.parametrize("name", sorted(OTHER))
def test_what_does_not_change_results_does_not_change_the_hash(hash_of, name: str) -> None:  # type: ignore[no-untyped-def]
    assert set(OTHER) | WEIGHTS == {field.name for field in dataclasses.fields(Settings)}
    assert hash_of(**{name: OTHER[name]}) == hash_of()


def test_other_weights_change_the_hash_and_the_same_elsewhere_do_not(
    hash_of,
    tiny_models: Path,
    tmp_path: Path,  # type: ignore[no-untyped-def]
) -> None:
    import shutil

    from tiny_models import write_models

    shutil.copytree(tiny_models, tmp_path / "copy")
    assert hash_of(models_dir=tmp_path / "copy") == hash_of()
    assert hash_of(models_dir=write_models(tmp_path / "other", side="left")) != hash_of()


def test_another_version_changes_the_hash() -> None:
    assert config_hash("1", {"a": "b"}) != config_hash("2", {"a": "b"})
    assert config_hash("1", {"a": "b", "c": "d"}) == config_hash("1", {"c": "d", "a": "b"})


def test_plain_values_are_what_toml_can_hold() -> None:
    plain = Settings(Path("/in"), Path("/out"), participants=("1",)).as_dict()
    assert plain["bids_dir"] == "/in"
    assert None not in plain.values()
    assert all(isinstance(value, str | int | bool | tuple) for value in plain.values())
