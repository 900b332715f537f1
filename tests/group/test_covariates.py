from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from legseg_bids.group.covariates import (
    MAX_COLUMNS,
    Covariates,
    classify,
    read_covariates,
    read_descriptions,
)

PEOPLE = [f"sub-{n}" for n in range(8)]


def write(folder: Path, header: str, *rows: str, described: object = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "participants.tsv"
    path.write_text("\n".join((header, *rows)) + "\n")
    if described is not None:
        path.with_suffix(".json").write_text(json.dumps(described))
    return folder


def read(tmp_path: Path, values: list[str], **described: object) -> Covariates:
    rows = [f"{person}\t{value}" for person, value in zip(PEOPLE, values, strict=False)]
    folder = write(tmp_path / "b", "participant_id\tx", *rows, described={"x": described})
    return read_covariates(PEOPLE, folder, tmp_path)


def test_ages_are_numbers_and_the_oldest_too(tmp_path: Path) -> None:
    found = read(tmp_path, ["20", "30.5", "89+", "n/a", "", "40", "50", "60"], Units="year")
    (age,) = found.used
    assert (age.title, age.levels) == ("x (year)", ())
    np.testing.assert_array_equal(age.values, [20, 30.5, 89, np.nan, np.nan, 40, 50, 60])
    assert found.notes == ("x (year): 89+ counts as 89",)
    assert found.source == "participants.tsv of the dataset"


def test_a_few_words_among_numbers_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, ["20", "30", "40", "50", "60", "70", "80", "old"])
    assert np.isnan(found.used[0].values[-1])
    assert "1 value(s) that are no numbers" in found.notes[0]


def test_levels_by_how_many_share_them(tmp_path: Path) -> None:
    found = read(tmp_path, ["b", "b", "b", "a", "a", "a", "a", "c"], Levels={"a": "healthy"})
    (group,) = found.used
    assert group.levels == ("a (healthy)", "b")
    np.testing.assert_array_equal(group.values, [1, 1, 1, 0, 0, 0, 0, np.nan])
    assert found.notes == ("x: too few participants are c",)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["0", "1"] * 4, {}),
        (["1", "2", "1", "2", "1", "2", "1", "9"], {"1": {"Description": "one"}, "2": "two"}),
    ],
)
def test_codes_are_levels(tmp_path: Path, values: list[str], levels: dict) -> None:
    described = {"Levels": levels} if levels else {}
    assert len(read(tmp_path, values, **described).used[0].levels) == 2


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["a"] * 8, "fewer than two values"),
        (["7"] * 8, "fewer than two values"),
        (list("abcdefgh"), "fewer than two values"),
        (["n/a"] * 8, "fewer than two values"),
    ],
)
def test_columns_that_say_nothing(tmp_path: Path, values: list[str], note: str) -> None:
    found = read(tmp_path, values)
    assert found.used == ()
    assert note in found.notes[0]


def test_many_levels() -> None:
    covariate, note = classify("site", [c for c in "abcdefgh" for _ in range(5)])
    assert covariate is None
    assert "8 different values, too many" in note


def test_text_of_others_is_shortened() -> None:
    covariate, note = classify("x" * 999, ["<b>\t\x1b" * 99] * 4 + ["b"] * 4 + ["c"] * 2)
    assert covariate is not None
    assert max(map(len, (covariate.title, *covariate.levels, note))) < 150
    assert all(level.isprintable() for level in covariate.levels)


def test_the_derivative_stands_in_for_the_dataset(tmp_path: Path) -> None:
    rows = [f"{p}\t1\t{'ab'[n % 2]}" for n, p in enumerate(PEOPLE)]
    write(tmp_path / "d", "participant_id\timages\tgroup", *rows)
    for bids in (None, tmp_path / "nowhere"):
        found = read_covariates(PEOPLE, bids, tmp_path / "d")
        assert [c.name for c in found.used] == ["group"]
        assert found.source == "participants.tsv of the derivative"
    assert read_covariates(PEOPLE, None, tmp_path / "nowhere") == Covariates()


def test_people_that_are_not_here_do_not_count(tmp_path: Path) -> None:
    rows = [f"{p}\t{n}" for n, p in enumerate([*PEOPLE, "sub-x", "sub-y"])]
    bids = write(tmp_path / "b", "participant_id\tx", *rows)
    found = read_covariates([*PEOPLE, "sub-new"], bids, tmp_path)
    assert "2 participant(s) of participants.tsv have no results" in found.notes[0]
    assert len(found.used[0].values) == len(PEOPLE) + 1
    assert np.isnan(found.used[0].values[-1])


def test_only_so_many_columns(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(MAX_COLUMNS + 3)]
    rows = ["\t".join([p, *[f"{n}.5"] * len(names)]) for n, p in enumerate(PEOPLE)]
    found = read_covariates(
        PEOPLE, write(tmp_path / "b", "\t".join(["participant_id", *names]), *rows), tmp_path
    )
    assert len(found.used) == MAX_COLUMNS
    assert sum("not looked at" in note for note in found.notes) == 3


def test_names_may_lack_their_prefix(tmp_path: Path) -> None:
    rows = [f"{p.removeprefix('sub-')}\t{n}" for n, p in enumerate(PEOPLE)]
    found = read_covariates(PEOPLE, write(tmp_path / "b", "participant_id\tx", *rows), tmp_path)
    np.testing.assert_array_equal(found.used[0].values, range(8))


@pytest.mark.parametrize("text", ["", "name\nx\n", "participant_id\tx\nsub-1\n"])
def test_a_spoilt_table_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "participants.tsv").write_text(text)
    found = read_covariates(PEOPLE, tmp_path, tmp_path)
    assert found.used == ()
    assert bool(found.notes) == bool(text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 3}', "[" * 100_000, "\udcff"])
def test_a_spoilt_dictionary_describes_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "participants.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_descriptions(path) == {}
