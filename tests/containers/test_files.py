"""What the container files say, without building anything."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from containers import ROOT

from legseg_bids import __version__

DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEFINITION = (ROOT / "Singularity.def").read_text()
LOCKS = ("lock-image.txt", "lock-image-cuda.txt")
#: The kind of container differs; Apptainer brings its own home.
OWN = {"LEGSEG_CONTAINER_TYPE", "HOME", "PYTHONHOME"}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    found = re.findall(r"^([A-Za-z0-9_.\-]+)==(\S+)", text, flags=re.MULTILINE)
    return {package.lower().replace("_", "-"): version for package, version in found}


def dockerfile_environment() -> dict[str, str]:
    blocks = re.findall(r"^ENV ((?:.*\\\n)*.*)", DOCKERFILE, flags=re.MULTILINE)
    return dict(word.split("=", 1) for block in blocks for word in block.split() if "=" in word)


def definition_environment() -> dict[str, str]:
    section = DEFINITION.partition("%environment")[2].partition("%runscript")[0]
    section = section.replace("{{ VERSION }}", "${VERSION}")
    return dict(re.findall(r"^\s*export (\w+)=(.*)$", section, flags=re.MULTILINE))


def test_version_is_that_of_the_package() -> None:
    assert f"ARG VERSION={__version__}\n" in DOCKERFILE
    assert f"    VERSION={__version__}\n" in DEFINITION


def test_both_set_the_same_environment() -> None:
    one, other = dockerfile_environment(), definition_environment()
    assert {k: v for k, v in one.items() if k not in OWN} == {
        k: v for k, v in other.items() if k not in OWN
    }


@pytest.mark.parametrize("name", ["NO_ET", "NIPYPE_NO_ET", "PYTHONNOUSERSITE", "OMP_NUM_THREADS"])
def test_environment_keeps_libraries_quiet(name: str) -> None:
    assert dockerfile_environment()[name] == "1"


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_the_tested_versions_and_a_hash_for_each(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}$", e, re.MULTILINE) for e in entries)
    tested = pins("lock-py311.txt")
    wrong = {p: v for p, v in pins(name).items() if p in tested and tested[p] != v}
    assert wrong == {}


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_every_direct_requirement(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {re.split(r"[<>=~! \[]", line)[0].lower() for line in project["dependencies"]}
    assert direct <= set(pins(name))
    assert "openvino-telemetry" not in pins(name)


def test_image_without_gpu_has_no_torch() -> None:
    assert "torch" not in pins("lock-image.txt")
    assert {"torch", "safetensors"} <= set(pins("lock-image-cuda.txt"))


def test_everything_that_is_copied_is_sent_to_the_engine() -> None:
    """Each source of a COPY is let through by .dockerignore."""
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, flags=re.MULTILINE)
    sources = set(" ".join(lines).replace("${LOCK}", "lock-image.txt").split())
    let_through = (ROOT / ".dockerignore").read_text().replace("image*.txt", "image.txt")
    missing = {source for source in sources if f"!{source}\n" not in let_through}
    assert missing == set()
    assert all((ROOT / source).exists() for source in sources)


def test_build_of_the_definition_leaves_the_tmp_of_the_host_alone() -> None:
    """Apptainer shows it to ``%post``: what is done there is done in a new folder."""
    post = DEFINITION.partition("%post")[2].partition("%environment")[0]
    script = (ROOT / "scripts/install_in_image.sh").read_text()
    lines = [line for line in (post + script).splitlines() if not line.lstrip().startswith("#")]
    assert "TMPDIR=$(mktemp -d)" in post
    assert [line for line in lines if "/tmp" in line] == []


@pytest.mark.parametrize("name", ["install_in_image", "install_apptainer", "test_containers"])
def test_script_is_valid_shell(name: str) -> None:
    shell = "sh" if name == "install_in_image" else "bash"
    subprocess.run([shell, "-n", str(ROOT / f"scripts/{name}.sh")], check=True)


def test_script_explains_itself() -> None:
    words = ["bash", str(ROOT / "scripts/test_containers.sh"), "--help"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert text.startswith("Build the container images")
    assert "--install" in text
    assert "set -euo" not in text
