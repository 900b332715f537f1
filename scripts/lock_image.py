"""Write the lock files of the container images: every package, its version and check sums.

Run it with Python 3.11 on Linux, with network, whenever ``requirements/lock-py311.txt`` changes::

    python scripts/lock_image.py            # requirements/lock-image.txt
    python scripts/lock_image.py --cuda     # requirements/lock-image-cuda.txt, with PyTorch

Versions are those of ``requirements/lock-py311.txt``, so the image has what the tests were run
with. Check sums are those of the wheels for x86-64 and for 64-bit ARM, from the package index that
pip asks by itself. Nothing is installed, but the wheels are downloaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTED = ROOT / "requirements" / "lock-py311.txt"
MACHINES = ("x86_64", "aarch64")
GLIBC = range(36, 4, -1)
"""Minor versions of the GNU C library, from that of Debian 12 down to the oldest tag."""

CUDA = ("torch", "safetensors")
LEFT_OUT = {
    "docopt": "has no wheel, and only the command line of num2words uses it",
    "openvino-telemetry": "reports the use of OpenVINO to its maker; OpenVINO does without",
}

HEADER = """\
# What the container image {name} holds; written by scripts/lock_image.py.
# Install with: pip install --require-hashes --no-deps --only-binary :all: -r {file}
# Left out on purpose:
{left_out}
"""


def main(words: list[str] | None = None) -> None:
    """Write one of the two files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuda", action="store_true", help="with PyTorch for CUDA")
    cuda = parser.parse_args(words).cuda
    target = ROOT / "requirements" / ("lock-image-cuda.txt" if cuda else "lock-image.txt")
    pins = resolve([*direct_requirements(), *(CUDA if cuda else ())])
    hashes = [wheel_hashes(pins, machine) for machine in (MACHINES[:1] if cuda else MACHINES)]
    target.write_text(_header(target, cuda) + lines(pins, hashes), encoding="utf-8")
    print(f"{target}: {len(pins)} packages")


def direct_requirements() -> list[str]:
    """What the package itself asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def resolve(requirements: Iterable[str]) -> dict[str, str]:
    """Every package that these need, as name to version; those left out on purpose are not in."""
    report = _pip(*requirements, "--constraint", str(TESTED))
    found = {entry["metadata"]["name"]: entry["metadata"]["version"] for entry in report}
    return {name: found[name] for name in sorted(found, key=str.lower) if name not in LEFT_OUT}


def wheel_hashes(pins: dict[str, str], machine: str) -> dict[str, str]:
    """SHA-256 of the wheel that pip would take on this machine, by name."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC]
    older = [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    platforms = [word for tag in [*tags, *older] for word in ("--platform", tag)]
    wanted = [f"{name}=={version}" for name, version in pins.items()]
    with TemporaryDirectory() as nowhere:
        report = _pip(
            *wanted, *platforms, "--no-deps", "--only-binary", ":all:", "--target", nowhere
        )
    return {
        entry["metadata"]["name"]: entry["download_info"]["archive_info"]["hashes"]["sha256"]
        for entry in report
    }


def lines(pins: dict[str, str], hashes: Iterable[dict[str, str]]) -> str:
    r"""The body of a lock file.

    Examples
    --------
    >>> print(lines({"numpy": "2.0"}, [{"numpy": "aa"}, {"numpy": "bb"}]), end="")
    numpy==2.0 \
        --hash=sha256:aa \
        --hash=sha256:bb
    """
    text = ""
    for name, version in pins.items():
        sums = sorted({found[name] for found in hashes})
        text += " \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{s}" for s in sums)])
        text += "\n"
    return text


def _header(target: Path, cuda: bool) -> str:
    left_out = "\n".join(f"#   {name}: {why}" for name, why in LEFT_OUT.items())
    name = "with PyTorch for CUDA" if cuda else "without PyTorch"
    return HEADER.format(name=name, file=target.relative_to(ROOT), left_out=left_out)


def _pip(*words: str) -> list[dict[str, Any]]:
    """What pip would install, as its own report says."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run([*command, "--quiet", "--report", str(report), *words], check=True)
        installed: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    return installed


if __name__ == "__main__":
    main()
