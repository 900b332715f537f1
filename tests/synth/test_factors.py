from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from legseg_bids.cli.synth import main
from legseg_bids.errors import UsageError
from legseg_bids.synth import factor_pictures
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.factor_page import page
from legseg_bids.synth.factor_pictures import MOST_BYTES, draw_strip, encoded
from legseg_bids.synth.factor_scenes import (
    BETWEEN,
    StillDraw,
    Strip,
    changed,
    load_strips,
    simulate_column,
    still_ranges,
)
from legseg_bids.synth.factors import (
    FORMS,
    GROUPS,
    factor_by_name,
    load_factors,
    range_words,
    say_chance,
    say_range,
)
from legseg_bids.synth.ranges import Ranges

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = DOCS / "figures/factors"
FIELDS = [field.name for field in fields(Ranges)]
#: These need the registered shapes of others, which the phantom has none of.
OF_PEOPLE = {"between-anatomies", "other-people"}
#: The phantom's muscles touch, are the same at all heights, and there is nothing in its pelvis.
NOT_IN_PHANTOM = {"contact", "organs", "own-skin", "hip-edge", "heights", "tilt", "length"}


def small(strip: Strip) -> Strip:
    """As many columns as it takes, few pixels and slices."""
    place = replace(
        strip.place, pixels=min(strip.place.pixels, 96), slices=min(strip.place.slices, 4)
    )
    ends = (strip.columns[0], strip.columns[-1])
    return replace(strip, place=place, columns=ends)


def test_every_range_belongs_to_a_factor_and_has_words() -> None:
    named = {name for factor in load_factors() for name in factor.ranges}
    assert named == set(FIELDS)
    assert set(range_words()) == set(FIELDS)
    assert {form for _, form in range_words().values()} <= set(FORMS)


def test_every_factor_says_what_it_is_and_why() -> None:
    names = [factor.name for factor in load_factors()]
    assert len(set(names)) == len(names)
    for factor in load_factors():
        assert factor.title, factor.name
        assert factor.what.endswith("."), factor.name
        assert factor.source.endswith((".", ").")), factor.name
        assert factor.ranges or factor.fixed, factor.name
        assert all(factor.values()), factor.name
    assert {factor.group for factor in load_factors()} == set(GROUPS)


def test_every_factor_has_a_strip_and_a_picture() -> None:
    names = {factor.name for factor in load_factors()}
    assert set(load_strips()) == names
    assert {path.stem for path in FIGURES.iterdir()} == names


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FIGURES.iterdir()}
    assert max(sizes.values()) <= 25_000, sizes
    assert sum(sizes.values()) < 900_000


def test_pictures_have_a_column_for_every_caption() -> None:
    for name, strip in load_strips().items():
        with Image.open(FIGURES / f"{name}.webp") as picture:
            assert picture.width == 148 * len(strip.columns) - 4, name


def test_page_says_what_the_tables_say() -> None:
    assert (DOCS / "simulation.md").read_text(encoding="utf-8") == page(), (
        "made anew by: legseg-synth factors --page docs/simulation.md"
    )


@pytest.mark.parametrize("name", sorted(load_strips()))
def test_only_its_own_factor_changes_in_a_strip(name: str) -> None:
    factor, strip = factor_by_name(name), load_strips()[name]
    touched = {key for _, changes in strip.columns for key in changes}
    ranges = {key for key in touched if BETWEEN not in key}
    assert ranges <= set(factor.ranges)
    assert ranges == touched or factor.fixed  # what stands in the code is named, too
    assert 2 <= len(strip.columns) <= 5
    assert len({caption for caption, _ in strip.columns}) == len(strip.columns)


@pytest.mark.parametrize("name", sorted(set(load_strips()) - OF_PEOPLE - NOT_IN_PHANTOM))
def test_the_ends_of_a_strip_differ(name: str, anatomy: Anatomy) -> None:
    strip = small(load_strips()[name])
    first, last = (simulate_column(strip, c, anatomy) for c in (0, 1))
    same = first.image.shape == last.image.shape and first.image.equal(last.image)
    assert not same


def test_the_same_strip_is_drawn_twice(anatomy: Anatomy) -> None:
    strip = small(load_strips()["fat-streaks"])
    once, again = (encoded(draw_strip(strip, anatomy)) for _ in range(2))
    assert once == again
    assert len(once) <= MOST_BYTES


def test_a_second_row_where_the_truth_changes(anatomy: Anatomy) -> None:
    noise, fat = (
        draw_strip(small(load_strips()[n]), anatomy) for n in ("noise", "subcutaneous-fat")
    )
    assert fat.height > 1.8 * noise.height
    colours = np.asarray(fat).reshape(-1, 3)
    assert (colours[:, 0].astype(int) > colours[:, 2] + 100).any()


def test_a_change_of_one_factor_leaves_the_noise(anatomy: Anatomy) -> None:
    strip = small(load_strips()["ghosts"])
    quiet = replace(strip, columns=(("without", {"ghosts_probability": 0.0}), strip.columns[0]))
    without, none = (simulate_column(quiet, c, anatomy).image for c in (0, 1))
    assert torch.allclose(without, none, atol=1e-6)


def test_still_draws() -> None:
    draw = StillDraw(1, {"0.0..1.0#2": 0.25, "2..5": 4})
    assert [draw.uniform(0.0, 1.0) for _ in range(3)] == [0.5, 0.25, 0.5]
    assert draw.integer(2, 5) == 4
    assert draw.normal(3.0) == 3.0
    assert draw.chance(1.0)
    assert not draw.chance(0.0)
    assert draw.choice((("a", 0.2), ("b", 0.8))) == "b"
    alone, after = StillDraw(1), StillDraw(1)
    after.normals(4)
    assert after.normals(3).equal(alone.normals(3))  # each shape has a source of its own


def test_still_ranges_are_known() -> None:
    assert still_ranges().disease_probability == 0.0
    assert changed(Ranges(), {"edge": [1.0, 2.0]}).edge == (1.0, 2.0)
    assert changed(Ranges(), {"contrasts": "fat"}).contrasts == (("fat", 1.0),)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("skin_depth", (3.0, 55.0), "thickness 3 to 55 mm"),
        ("shear_sigma", 0.06, "standard deviation 3.43°"),
        ("person_share", (-0.5, 1.2), "−50 to 120 % of the way"),
        ("gamma_sigma", 0.15, "exponent, one standard deviation 0.86 to 1.16 times"),
        ("contrasts", (("water", 1.0), ("in_phase", 3.0)), "in phase 75 %, water 25 %"),
        ("healthy_fat", (0.02, 0.15), "2 to 15 %"),
    ],
)
def test_ranges_for_people(name: str, value: object, said: str) -> None:
    assert said in say_range(name, value)


def test_chances_for_people() -> None:
    said = {0.0: "never", 0.1: "one in ten", 0.75: "three in four", 0.03: "3 in 100"}
    assert {p: say_chance(p) for p in said} == said


def test_unknown_factor() -> None:
    with pytest.raises(UsageError, match="'flexion' is no factor"):
        factor_by_name("flexion")


def test_anatomies_are_loaded_once(anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(atlas: Path, name: str, cache: Path) -> Anatomy:
        asked.append(name)
        return anatomy

    monkeypatch.setattr(factor_pictures, "load_anatomy", load)
    every = factor_pictures.Anatomies(Path("atlas"), Path("cache"))
    for name in ("rotation", "noise", "own-skin"):
        assert every.of(load_strips()[name].place) is anatomy
    assert asked == ["vhm", "vhf"]


@pytest.mark.parametrize(
    ("name", "folder", "names"),
    [
        ("between-anatomies", None, ["vhm", "vhf"]),
        ("other-people", Path("atlas/thigh_partial"), ["vhm", "vhf", "musclemap_pelvis_thigh"]),
    ],
)
def test_shapes_of_others_are_those_of_a_training(
    name: str,
    folder: Path | None,
    names: list[str],
    anatomy: Anatomy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_people(found, asked, cache, say, region):
        assert asked == folder
        assert [a.name for a in found] == names
        return found

    monkeypatch.setattr(
        factor_pictures, "load_anatomy", lambda atlas, name, cache: replace(anatomy, name=name)
    )
    monkeypatch.setattr(factor_pictures, "with_people", with_people)
    place = load_strips()[name].place
    assert factor_pictures.Anatomies(Path("atlas"), Path("cache")).of(place).name == "vhm"


def test_command_draws_and_writes(
    anatomy: Anatomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(factor_pictures, "load_anatomy", lambda *_: anatomy)
    out, text = tmp_path / "figures", tmp_path / "page.md"
    words = ["--atlas", "atlas", "--cache", "cache", "--out", str(out)]
    assert main(["factors", *words, "--only", "marrow", "--page", str(text)]) == 0
    assert [path.name for path in out.iterdir()] == ["marrow.webp"]
    assert text.read_text(encoding="utf-8") == page()
    assert "marrow.webp" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to write"),
        (["--out", "figures"], "--out needs the anatomy"),
        (["--out", "f", "--atlas", "a", "--cache", "c", "--only", "flexion"], "no factor"),
        (["--out", "f", "--atlas", "a", "--cache", "c"], "not found"),
        (["--page", "missing/page.md"], "missing/page.md"),
    ],
)
def test_command_refuses(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["factors", *words]) != 0
    assert said in capsys.readouterr().err
