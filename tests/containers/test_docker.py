"""The Dockerfile, built and run for real with podman or Docker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from containers import SAMPLE, Container, differences, execute, why_not
from skeleton import tree

from legseg_bids import __version__

WHY_NOT = why_not("podman", "docker")
pytestmark = [pytest.mark.containers, pytest.mark.skipif(bool(WHY_NOT), reason=str(WHY_NOT))]

MOST_BYTES = 900e6
LOCKED = ("--network", "none", "--read-only", "--cap-drop", "ALL")
WAYS = {
    "as the user": ("-u", f"{os.getuid()}:{os.getgid()}"),
    "as nobody known, offline, read-only": (*LOCKED, "-u", "12345:23456"),
    "with the image's own user, offline": ("--network", "none"),
}


def container(engine: list[str], image: str, *options: str) -> Container:
    return Container((*engine, "run", "--rm", *options), "-v", (image,))


def inside(engine: list[str], image: str, command: str) -> str:
    return execute([*engine, "run", "--rm", "--entrypoint", "sh", image, "-c", command])


@pytest.fixture(scope="module", params=WAYS)
def out(
    request: pytest.FixtureRequest,
    engine: list[str],
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The sample data, labelled in containers."""
    folder = tmp_path_factory.mktemp("docker") / "out"
    container(engine, image, *WAYS[request.param]).study(folder)
    return folder


def test_files_are_those_of_the_manifest(out: Path, manifest: list[str]) -> None:
    assert [name for name in tree(out) if not name.startswith("logs/")] == manifest


def test_content_is_that_of_a_run_without_container(
    out: Path, native: Path, manifest: list[str]
) -> None:
    assert differences(out, native, manifest) == []


def test_derivative_names_its_container(out: Path) -> None:
    description = json.loads((out / "dataset_description.json").read_text())
    expected = {"Type": "docker", "Tag": f"legseg-bids:{__version__}"}
    assert description["GeneratedBy"][0]["Container"] == expected


def test_shipped_validator_finds_no_error(engine: list[str], image: str, out: Path) -> None:
    options = (*LOCKED, "--entrypoint", "bids-validator-deno")
    done = container(engine, image, *options).run({out: "/out:ro"}, "/out", "--ignoreWarnings")
    assert done.returncode == 0, done.stdout


def test_version_and_help(engine: list[str], image: str) -> None:
    plain = container(engine, image)
    assert plain.run({}, "--version").stdout == f"legseg-bids {__version__}\n"
    assert plain.run({}, "--help").stdout.startswith("usage: legseg")
    assert inside(engine, image, "cat /version") == f"{__version__}\n"
    assert inside(engine, image, "legseg --version") == f"legseg-bids {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("/data", "/out", "participant", "--no-such-option"), 2),
        (("/data", "/out", "participant", "--participant-label", "99"), 18),
    ],
)
def test_exit_code_is_passed_on(
    engine: list[str], image: str, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    user = ("-u", f"{os.getuid()}:{os.getgid()}")
    mounts = {SAMPLE: "/data:ro", tmp_path: "/out"}
    done = container(engine, image, *user).run(mounts, *arguments)
    assert done.returncode == code, done.stdout + done.stderr


def test_output_that_its_user_may_not_write(engine: list[str], image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    mounts = {SAMPLE: "/data:ro", tmp_path: "/out"}
    done = container(engine, image, "-u", "12345").run(mounts, "/data", "/out", "participant")
    assert done.returncode == 73
    assert "/out cannot be written" in done.stdout


def test_image_is_small_and_has_labels(engine: list[str], image: str) -> None:
    facts = json.loads(execute([*engine, "image", "inspect", image]))[0]
    assert facts["Size"] < MOST_BYTES
    labels = facts["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert "Apache-2.0" in labels["org.opencontainers.image.licenses"]
    assert facts["Config"]["User"].split(":")[0] not in ("", "0", "root")


def test_nothing_in_the_image_can_be_written(engine: list[str], image: str) -> None:
    command = "find /opt /usr /etc /version ! -type l -writable | head"
    assert inside(engine, image, command) == ""


def test_no_pip_and_no_torch(engine: list[str], image: str) -> None:
    absent = "import importlib.util as u; print([n for n in ('pip', 'torch') if u.find_spec(n)])"
    assert inside(engine, image, f'python -c "{absent}"') == "[]\n"


def test_only_mounts_and_tmp_are_written(engine: list[str], image: str, tmp_path: Path) -> None:
    name = f"legseg-test-{uuid.uuid4().hex[:8]}"
    tmp_path.chmod(0o777)
    mounts = ["-v", f"{SAMPLE}:/data:ro", "-v", f"{tmp_path}:/out"]
    ask = ["/data", "/out", "participant", "--participant-label", "01"]
    try:
        execute([*engine, "run", "--name", name, *mounts, image, *ask])
        changed = [line.split()[1] for line in execute([*engine, "diff", name]).splitlines()]
    finally:
        execute([*engine, "rm", "-f", "-v", name])
    assert {path for path in changed if not path.startswith("/tmp")} <= MADE_BY_ENGINES


#: Places of the mounts, and what engines put into every container; podman adds the user.
MADE_BY_ENGINES = {
    *("/data", "/out", "/etc", "/etc/mtab", "/etc/passwd", "/etc/group"),
    *("/run", "/run/.containerenv"),
}


def test_a_container_that_is_stopped_cleans_up(
    engine: list[str], image: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    mounts = {SAMPLE: "/data:ro", tmp_path: "/out"}
    line = container(engine, image).line(mounts, "/data", "/out", "participant")
    process = subprocess.Popen(line, stdout=-1, stderr=-2, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("logs/sub-01/*.toml")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 143, text
    assert list(tmp_path.rglob("*.tmp*")) == []
