"""Singularity.def, built and run for real with Apptainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from containers import SAMPLE, Container, differences, execute, why_not, words
from skeleton import tree

from legseg_bids import __version__

COMMANDS = words("LEGSEG_TEST_APPTAINER") or ["apptainer", "singularity"]
WHY_NOT = why_not(*COMMANDS)
pytestmark = [pytest.mark.containers, pytest.mark.skipif(bool(WHY_NOT), reason=str(WHY_NOT))]

SEALED = ("--containall", "--cleanenv")


def container(apptainer: list[str], sif: Path, *options: str) -> Container:
    return Container((*apptainer, "run", *options), "--bind", (str(sif),))


@pytest.fixture(scope="module")
def out(apptainer: list[str], sif: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample data, labelled in containers."""
    folder = tmp_path_factory.mktemp("apptainer") / "out"
    container(apptainer, sif, *SEALED).study(folder)
    return folder


def test_files_are_those_of_the_manifest(out: Path, manifest: list[str]) -> None:
    assert [name for name in tree(out) if not name.startswith("logs/")] == manifest


def test_content_is_that_of_a_run_without_container(
    out: Path, native: Path, manifest: list[str]
) -> None:
    assert differences(out, native, manifest) == []


def test_derivative_names_its_container(out: Path) -> None:
    description = json.loads((out / "dataset_description.json").read_text())
    expected = {"Type": "singularity", "Tag": f"legseg-bids:{__version__}"}
    assert description["GeneratedBy"][0]["Container"] == expected


def test_its_own_test_help_and_labels(apptainer: list[str], sif: Path) -> None:
    execute([*apptainer, "test", sif])
    assert "legseg-bids" in execute([*apptainer, "run-help", sif])
    labels = execute([*apptainer, "inspect", sif])
    assert f"org.opencontainers.image.version: {__version__}" in labels


def test_exit_code_is_passed_on(apptainer: list[str], sif: Path, tmp_path: Path) -> None:
    mounts = {SAMPLE: "/data:ro", tmp_path: "/out"}
    ask = ("/data", "/out", "participant", "--participant-label", "99")
    done = container(apptainer, sif, *SEALED).run(mounts, *ask)
    assert done.returncode == 18, done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONHOME"])
def test_environment_of_the_host(
    apptainer: list[str], sif: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Without --cleanenv, the host's variables come along; those that would do harm do not."""
    monkeypatch.setenv(variable, "/nonexistent")
    done = container(apptainer, sif).run({}, "--version")
    assert done.stdout == f"legseg-bids {__version__}\n", done.stderr


def test_nothing_is_written_in_the_home(apptainer: list[str], sif: Path, tmp_path: Path) -> None:
    """Even where the home of the host is not kept out, as it is by --containall."""
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    open_ = container(apptainer, sif, "--cleanenv", "--home", str(home))
    mounts = {SAMPLE: "/data:ro", out: "/out"}
    done = open_.run(mounts, "/data", "/out", "participant", "--participant-label", "01")
    assert done.returncode == 0, done.stdout + done.stderr
    done = open_.run(mounts, "-", "/out", "group")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(home.rglob("*")) == []


def test_gpu_option_does_no_harm_without_gpu(apptainer: list[str], sif: Path) -> None:
    done = container(apptainer, sif, *SEALED, "--nv").run({}, "--version")
    assert done.returncode == 0, done.stderr
