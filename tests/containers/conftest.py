"""The images, built once; and the result of a run without a container."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import pytest
from containers import BASE, ROOT, SAMPLE, execute, found, words


@pytest.fixture(scope="session")
def engine() -> list[str]:
    """The command of the engine."""
    return words("LEGSEG_TEST_ENGINE") or [str(found("podman", "docker"))]


@pytest.fixture(scope="session")
def image(engine: list[str]) -> str:
    """Name of the image."""
    if given := os.environ.get("LEGSEG_TEST_IMAGE"):
        return given
    options = ["--build-arg", f"BASE={BASE}", *words("LEGSEG_TEST_BUILD_OPTIONS")]
    execute([*engine, "build", "-t", "legseg:test", *options, "."])
    return "legseg:test"


@pytest.fixture(scope="session")
def apptainer() -> list[str]:
    """The command of Apptainer."""
    return words("LEGSEG_TEST_APPTAINER") or [str(found("apptainer", "singularity"))]


@pytest.fixture(scope="session")
def sif(apptainer: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SIF; from an archive of the base image where there is an engine, so without registry."""
    if given := os.environ.get("LEGSEG_TEST_SIF"):
        return Path(given)
    folder = tmp_path_factory.mktemp("sif")
    build = words("LEGSEG_TEST_APPTAINER_BUILD") or [*apptainer, "build", "--force"]
    options = []
    if engine := found("podman", "docker"):
        archive = folder / "base.tar"
        form = ["--format", "docker-archive"] if "podman" in engine else []
        execute([engine, "save", *form, "-o", archive, BASE])
        options = ["--build-arg", "BOOTSTRAP=docker-archive", "--build-arg", f"FROM={archive}"]
    execute([*build, folder / "legseg.sif", "Singularity.def", *options])
    return folder / "legseg.sif"


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample data, labelled without a container."""
    out = tmp_path_factory.mktemp("native") / "out"
    execute([sys.executable, "run.py", SAMPLE, out, "participant"])
    execute([sys.executable, "run.py", "-", out, "group"])
    return out


@pytest.fixture(scope="session")
def manifest() -> list[str]:
    """Every file that the sample data must give, but for the logs."""
    files: list[str] = runpy.run_path(str(ROOT / "tests/app/test_sample.py"))["expected_files"]()
    return files
