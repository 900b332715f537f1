"""What a wheel holds: everything that the installed application needs."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without network."""
    pytest.importorskip("hatchling")
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


def test_every_data_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    data = {
        path.relative_to(ROOT).as_posix()
        for folder in ("data", "static", "templates", "vendor")
        for path in (ROOT / "legseg_bids").rglob(f"{folder}/*")
        if path.is_file()
    }
    assert "legseg_bids/desk/static/index.html" in data
    assert data <= set(wheel.namelist())


def test_every_model_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    models = {
        f"legseg_bids/_models/{path.relative_to(ROOT / 'models').as_posix()}"
        for path in (ROOT / "models").rglob("*")
        if path.is_file()
    }
    assert models <= set(wheel.namelist())


def test_what_a_cluster_needs_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    names = {path.name for path in (ROOT / "hpc").iterdir() if path.is_file()}
    assert {f"legseg_bids/_hpc/{name}" for name in names} <= set(wheel.namelist())


def test_no_test_and_no_cache_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"legseg_bids"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_commands_point_to_functions_that_exist() -> None:
    from importlib import import_module

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    names = "synth train export hpc augment-sheet import evaluate reproduce bidsify correct labels"
    assert set(scripts) == {"legseg", *(f"legseg-{name}" for name in [*names.split(), "desk"])}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))


def test_the_lock_pins_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(text for extra in extras for text in extra)]
    (lock,) = (ROOT / "requirements").glob("lock-py*.txt")
    pinned = {line.partition("==")[0].lower() for line in lock.read_text().splitlines()}
    direct = {text.partition(">=")[0].lower() for text in wanted}
    assert {name for name in direct if not name.startswith("legseg-bids[")} <= pinned
