"""Build and run the container images, and compare what they write.

Slow, and not possible everywhere: only with ``LEGSEG_TEST_CONTAINERS=1``. Further settings
(environment), each with what is taken without it:

LEGSEG_TEST_ENGINE           ``podman``, else ``docker``: the command of the engine
LEGSEG_TEST_IMAGE            an image that is tested as it is; without it, one is built
LEGSEG_TEST_BUILD_OPTIONS    further options of ``ENGINE build``
LEGSEG_TEST_BASE             the base image, ``docker.io/library/python:3.11-slim-bookworm``
LEGSEG_TEST_APPTAINER        ``apptainer``, else ``singularity``
LEGSEG_TEST_APPTAINER_BUILD  ``APPTAINER build --force``: called with OUT.sif FILE.def and options
LEGSEG_TEST_SIF              a SIF that is tested as it is; without it, one is built
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "sample"
BASE = os.environ.get("LEGSEG_TEST_BASE", "docker.io/library/python:3.11-slim-bookworm")
ASKED = os.environ.get("LEGSEG_TEST_CONTAINERS") == "1"
PARTICIPANTS = ("01", "02")


def why_not(*commands: str) -> str | None:
    """Why containers cannot be tested with any of these commands; None where they can."""
    if not ASKED:
        return "takes minutes: set LEGSEG_TEST_CONTAINERS=1"
    if found(*commands) is None:
        return f"no {' or '.join(commands)}"
    return None


def found(*commands: str) -> str | None:
    """The first of these commands that is installed."""
    return next((path for name in commands if (path := shutil.which(name))), None)


def words(variable: str, default: str = "") -> list[str]:
    """A setting that is a command line."""
    return shlex.split(os.environ.get(variable, default))


@dataclass(frozen=True)
class Container:
    """A way of running the application.

    Attributes
    ----------
    command : tuple of str
        What starts the container, up to the mounts.
    bind : str
        Option of a mount: ``-v`` or ``--bind``.
    image : tuple of str
        What follows the mounts: the image.
    """

    command: tuple[str, ...]
    bind: str
    image: tuple[str, ...]

    def line(self, mounts: Mapping[Path, str], *arguments: str) -> list[str]:
        """The whole command line; mounts are host folder to place (and ``:ro``) inside."""
        binds = [word for host, place in mounts.items() for word in (self.bind, f"{host}:{place}")]
        return [*self.command, *binds, *self.image, *arguments]

    def run(self, mounts: Mapping[Path, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.line(mounts, *arguments), capture_output=True, text=True, check=False
        )

    def study(self, out: Path, *options: str) -> None:
        """The sample data: each participant in a container of its own, all at once; then group."""
        out.mkdir(parents=True)
        out.chmod(0o777)
        mounts = {SAMPLE: "/data:ro", out: "/out"}
        ask = ("/data", "/out", "participant", *options, "--participant-label")
        lines = [self.line(mounts, *ask, label) for label in PARTICIPANTS]
        check(*(subprocess.Popen(line, stdout=-1, stderr=-2, text=True) for line in lines))
        group = self.run({out: "/out"}, "-", "/out", "group")
        assert group.returncode == 0, group.stdout + group.stderr


def check(*processes: subprocess.Popen[str]) -> None:
    """Wait for all of them; each must end with 0."""
    texts = [process.communicate()[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [0] * len(codes), "\n".join(texts)


def differences(one: Path, other: Path, files: Iterable[str]) -> list[str]:
    """Which of these files say something else.

    Images must have the same numbers on the same grid, tables and pictures the same bytes; JSON
    and the pages of participants name the run and the container, so they may differ.
    """
    return [name for name in files if not _alike(one / name, other / name)]


def _alike(one: Path, other: Path) -> bool:
    if one.name.endswith(".nii.gz"):
        a, b = nib.load(one), nib.load(other)
        same = np.array_equal(a.affine, b.affine) and a.get_data_dtype() == b.get_data_dtype()
        data = (np.asanyarray(image.dataobj) for image in (a, b))
        return same and np.array_equal(*data, equal_nan=True)
    names_run = one.suffix == ".json" or (one.suffix == ".html" and one.name.startswith("sub-"))
    return names_run or one.read_bytes() == other.read_bytes()


def execute(command: Sequence[str | Path]) -> str:
    """Run a command that must succeed; what it printed."""
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout
