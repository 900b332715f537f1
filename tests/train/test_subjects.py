from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from phantom import write_phantom

from legseg_bids.train import subjects
from legseg_bids.train.recipe import Recipe, load_recipe
from legseg_bids.train.subjects import anatomies_of, composites_of


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("atlas"))


def plain(**changes: Any) -> Recipe:
    recipe = replace(load_recipe("lower_leg"), anatomies=("vhm",), people="", blend=False)
    return replace(recipe, **changes)


@pytest.mark.parametrize(
    ("changes", "folder"), [({}, "not asked"), ({"blend": True}, None), ({"people": "p"}, "p")]
)
def test_shapes_of_others_are_asked_for_as_the_recipe_says(
    atlas: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    folder: str | None,
) -> None:
    asked: list[Any] = []

    def with_people(maps: Any, where: Path | None, *rest: Any) -> Any:
        asked.append((None if where is None else where.relative_to(atlas).as_posix(), rest[-1]))
        return maps

    monkeypatch.setattr(subjects, "with_people", with_people)
    maps = anatomies_of(plain(**changes), atlas, tmp_path)
    assert [one.name for one in maps] == ["vhm"]
    assert asked == ([] if folder == "not asked" else [(folder, "lower")])


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_composites_are_made_for_recipes_that_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(subjects, "load_composites", lambda *given: asked.append(given) or ["one"])
    recipe = plain(people="p", partial_share=share, held_out=("x",))
    found = composites_of(recipe, [], tmp_path, tmp_path / "cache")
    assert found == (["one"] if share else [])
    assert asked == ([([], tmp_path / "p", tmp_path / "cache", ("x",))] if share else [])
