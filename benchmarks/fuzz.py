#!/usr/bin/env python3
"""Coverage-guided fuzzing of everything that reads what others wrote.

    pip install atheris
    python benchmarks/fuzz.py image --seconds 120

Targets: ``image`` (bytes of a NIfTI file, up to the body mask), ``sidecar`` (bytes of a JSON
sidecar, up to the station), ``names`` (paths in a dataset, up to the names of outputs) and
``group`` (sidecars and tables of a derivative, up to the group table). The first inputs are made
on the fly; the fuzzer (libFuzzer) changes them so that ever more branches of legseg_bids and of
nibabel's headers are seen. An exception that is not one of ours ends the run with code 1; its
input and its traceback are left in the folder that ``--artifacts`` names.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
TARGETS = ("image", "sidecar", "names", "group")
MOST_MEMORY_MB = 2048
SLOWEST_SECONDS = 20
HARMLESS = re.compile(r"[A-Za-z0-9_+-]+(\.nii\.gz|\.json|\.tsv|\.png)?")

Target = Callable[[bytes], None]


# ------------------------------------------------------------------------------- targets


def image_target(folder: Path) -> tuple[Target, list[bytes]]:
    """A NIfTI file, read and prepared as the application does."""
    from legseg_bids.bids.reading import read_image
    from legseg_bids.errors import LegsegError
    from legseg_bids.imaging.volume import Volume
    from legseg_bids.segment.pipeline import prepare

    def target(content: bytes) -> None:
        # The first byte chooses: which volume, and whether the bytes are packed.
        choice, content = content[:1] or b"\0", content[1:]
        path = folder / "a.nii.gz"
        path.write_bytes(gzip.compress(content, 1) if choice[0] & 1 else content)
        try:
            image = read_image(path, [None, 0, 1, 2][choice[0] >> 6])
            if image.data.size <= 4096:
                prepare(Volume(image.data, image.affine))
        except LegsegError as error:
            require_sentence(str(error))

    return target, _images()


def _images() -> list[bytes]:
    import nibabel as nib
    import numpy as np

    ramp = np.linspace(0, 200, 8 * 6 * 3).reshape(8, 6, 3)
    out = []
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        for dtype in ("u1", "<i2", ">i2", "f4", "f8", "c8"):
            image = kind(ramp.astype(dtype), np.diag([9.0, 9, 12, 1]))
            image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 8))
            out.append(b"\0" + image.to_bytes())
    echoes = np.stack([ramp, ramp * 2], -1).astype("i2")
    several = nib.Nifti1Image(echoes, np.diag([9.0, 9, 12, 1])).to_bytes()
    out += [b"\x40" + several, b"\x01" + out[0][1:], b"\0" + gzip.compress(several)]
    return out


def sidecar_target(folder: Path) -> tuple[Target, list[bytes]]:
    """The sidecar that three kinds of image share, up to stations."""
    import nibabel as nib
    import numpy as np

    from legseg_bids.bids.dataset import Dataset
    from legseg_bids.bids.discover import discover
    from legseg_bids.imaging.dixon import choose_opposed_echo

    root = folder / "bids"
    names = ("echo-1_MEGRE", "echo-2_MEGRE", "MEGRE", "T1w", "acq-out_T1w", "acq-fat_T2starw")
    images = tuple(root / "sub-1/anat" / f"sub-1_{name}.nii.gz" for name in names)
    images[0].parent.mkdir(parents=True)
    for image in images:
        nib.save(nib.Nifti1Image(np.ones((3, 3, 3, 3), "u1"), np.eye(4)), image)
    sidecars = tuple(root / f"{suffix}.json" for suffix in ("MEGRE", "T1w", "T2starw"))
    dataset = Dataset(root, ("1",), images, sidecars)

    def target(content: bytes) -> None:
        for path in sidecars:
            path.write_bytes(spelt(content, SIDECAR_KEYS))
        check_discovery(discover(dataset, choose_opposed_echo), folder)

    return target, _sidecars()


def _sidecars() -> list[bytes]:
    contents: list[Any] = [
        {"EchoTime": 0.00115, "MagneticFieldStrength": 3, "ImageType": ["ORIGINAL", "OUT_PHASE"]},
        {"EchoTime": [1.15, 2.3, 3.45], "MagneticFieldStrength": 3.0},
        {"EchoTime": "1.15", "MagneticFieldStrength": [3], "ImageType": "DERIVED\\WATER"},
        {"EchoTime": {"a": None}, "ImageType": [["OPP_PHASE"], 1, True]},
        {"EchoTime": 1e400, "EchoNumber": -1, "ImagingFrequency": 123.2},
        [],
        None,
    ]
    plain = [json.dumps(content).encode() for content in contents]
    return [*plain, b"\xef\xbb\xbf{}", b'{"a":1', *BUILT]


def names_target(folder: Path) -> tuple[Target, list[bytes]]:
    """Paths of images, one a line, up to the names of what would be written."""
    from legseg_bids.bids.dataset import Dataset
    from legseg_bids.bids.discover import discover
    from legseg_bids.bids.names import parse_name
    from legseg_bids.imaging.dixon import choose_opposed_echo

    root = folder / "bids"
    (root / "sub-1/anat").mkdir(parents=True)

    def target(content: bytes) -> None:
        lines = [os.fsdecode(line) for line in content.split(b"\0")[:6]]
        made = [path for line in lines if (path := _touch(root, line))]
        for path in made:
            empty = re.search(r"(^|_)(_|-|$)|-_", path.name)
            if not empty and str(parse_name(path.name)) != path.name:
                raise AssertionError(f"{path.name!r} changes when it is taken apart")
        subjects = tuple(sorted({path.relative_to(root).parts[0][4:] for path in made}))
        dataset = Dataset(root, subjects, tuple(sorted(set(made))), ())
        try:
            check_discovery(discover(dataset, choose_opposed_echo), folder)
        finally:
            for path in made:
                path.unlink(missing_ok=True)

    return target, _names()


def _touch(root: Path, name: str) -> Path | None:
    """Make an empty file of this name, if the file system takes it."""
    path = root / "sub-1/anat" / name.replace("/", "")
    try:
        path.touch()
    except (OSError, ValueError):
        return None
    return path if path.is_file() else None


def _names() -> list[bytes]:
    groups = [
        ["sub-1_acq-outphase_T1w.nii.gz", "sub-1_acq-inphase_T1w.nii.gz"],
        ["sub-1_ses-2_acq-water_chunk-1_T1w.nii.gz", "sub-1_ses-2_acq-fat_chunk-1_T1w.nii.gz"],
        ["sub-1_ses-001_stk-UPLEG_megre_dix_outph.nii.gz"],
        ["sub-1_acq-ax_chunk-3_part-outphase_vibe.nii.gz"],
        [f"sub-1_echo-{n}_part-mag_MEGRE.nii.gz" for n in (1, 2)],
        ["sub-1_MEGRE.nii", "sub-1_run-.._T1w.nii.gz", "_-_.nii.gz"],
        ["sub-1_acq-opp_run-a b_FLASH.nii"],
    ]
    return ["\0".join(group).encode() for group in groups]


def group_target(folder: Path) -> tuple[Target, list[bytes]]:
    """A derivative with a sidecar and a table that somebody has spoilt."""
    from legseg_bids.errors import LegsegError
    from legseg_bids.group.table import write_group

    root = folder / "out"
    stems = [
        root / "sub-1/anat/sub-1_acq-out_chunk-1_seg-muscles_dseg",
        root / "sub-1/anat/sub-1_acq-out_seg-muscles_desc-merged_dseg",
    ]
    stems[0].parent.mkdir(parents=True)
    description = {"Name": "x", "BIDSVersion": "1.10.0", "GeneratedBy": [{"Name": "legseg-bids"}]}
    (root / "dataset_description.json").write_text(json.dumps(description))

    def target(content: bytes) -> None:
        sidecar, _, table = content.partition(b"\0")
        sidecar = spelt(sidecar, GROUP_KEYS)
        for stem in stems:
            stem.with_name(stem.name + ".json").write_bytes(sidecar)
            stem.with_name(stem.name + ".tsv").write_bytes(table)
        try:
            write_group(root, [])
        except LegsegError as error:
            require_sentence(str(error))

    return target, _tables()


def _tables() -> list[bytes]:
    sidecar = {
        "Sources": ["bids::sub-1/anat/a.nii.gz"],
        "Legseg": {"Version": "0", "ConfigHash": "ab", "SourceSHA256": {}, "Warnings": ["w"]},
    }
    columns = json.loads((REPOSITORY / "legseg_bids/bids/data/columns.json").read_text())
    names = list(columns)
    row = ["1" for _ in names]
    tables = ["\t".join(names) + "\n" + "\t".join(row) + "\n", "\t".join(names), "", "a\n1\t2\n"]
    plain = [f"{json.dumps(sidecar)}\0{table}".encode() for table in tables]
    return [*plain, b"[]\0", b"\xff\0a", *(built + b"\0" + tables[0].encode() for built in BUILT)]


# ----------------------------------------------------------------------- JSON from bytes

SIDECAR_KEYS = (
    "EchoTime", "EchoTime1", "EchoNumber", "MagneticFieldStrength", "ImagingFrequency",
    "ImageType", "ComplexImageComponent", "Units", "SliceThickness", "BodyPart", "Manufacturer",
)  # fmt: skip
GROUP_KEYS = ("Legseg", "ConfigHash", "StationSHA256", "Version", "Warnings", "Sources", "sub-1")
WORDS = ("OUT_PHASE", "ORIGINAL", "WATER", "M", "PHASE", "FAT\\IP", "ab", "", "n/a", "\n", "1.15")
BUILT = [b"!" + bytes(range(0, 200, step)) for step in (3, 7, 11)]
"""First inputs that are read as instructions for a JSON object."""


def spelt(content: bytes, keys: Sequence[str]) -> bytes:
    """The bytes as they are; or, where they begin with ``!``, JSON that they are a recipe for.

    Nearly all random bytes are no JSON: without recipes only the parser would be tried.
    """
    if not content.startswith(b"!"):
        return content
    steps = iter(content[1:])
    return json.dumps(_object(steps, keys, 2)).encode()


def _object(steps: Iterator[int], keys: Sequence[str], depth: int) -> dict[str, Any]:
    count = next(steps, 0) % 6
    return {keys[next(steps, 0) % len(keys)]: _value(steps, keys, depth) for _ in range(count)}


def _value(steps: Iterator[int], keys: Sequence[str], depth: int) -> Any:
    kind, number = next(steps, 0) % 8, next(steps, 0)
    if kind == 0 and depth:
        return _object(steps, keys, depth - 1)
    if kind == 1 and depth:
        return [_value(steps, keys, depth - 1) for _ in range(number % 5)]
    numbers = (0, -1, 1e-3, 3.0, 1e9, 1e400, float("nan"), number, number / 1e5)
    choices = (None, bool(number % 2), numbers[number % len(numbers)], WORDS[number % len(WORDS)])
    return choices[kind % 4]


# ----------------------------------------------------------------------------- properties


def require_sentence(message: str) -> None:
    """An error of ours says something."""
    if len(message) < 30:
        raise AssertionError(f"an error of ours that says nothing: {message!r}")


def check_discovery(discovery: Any, folder: Path) -> None:
    """Stations have unique, harmless outputs; what is left out has a reason."""
    from legseg_bids.bids.names import output_paths

    output = folder / "out"
    seen: set[Path] = set()
    for station in discovery.stations:
        for path in vars(output_paths(output, station.output_name)).values():
            parts = path.relative_to(output).parts
            if not all(HARMLESS.fullmatch(part) for part in parts) or path in seen:
                raise AssertionError(f"{station.source_name!r} would be written to {str(path)!r}")
            seen.add(path)
        if not station.reason.isprintable():
            raise AssertionError(f"not one printable line: {station.reason!r}")
    for skipped in discovery.skipped:
        require_sentence(str(skipped))


# -------------------------------------------------------------------------------- running


def fuzz(name: str, seconds: int, corpus: Path, artifacts: Path, seed: int) -> None:
    """Run one target; does not come back (libFuzzer ends the process)."""
    import atheris

    sys.path.insert(0, str(REPOSITORY))
    with atheris.instrument_imports(include=["legseg_bids", "nibabel.nifti1", "nibabel.spatial"]):
        make = {
            "image": image_target,
            "sidecar": sidecar_target,
            "names": names_target,
            "group": group_target,
        }[name]
        folder = Path(tempfile.mkdtemp(prefix="legseg-fuzz-"))
        target, seeds = make(folder)
    for number, content in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(content)

    def one_input(content: bytes) -> None:
        try:
            target(content)
        except Exception:
            (artifacts / f"{name}-traceback.txt").write_text(traceback.format_exc())
            raise

    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={artifacts}/{name}-",
        f"-rss_limit_mb={MOST_MEMORY_MB}",
        f"-timeout={SLOWEST_SECONDS}",
        f"-seed={seed}",
        "-max_len=4096",
        "-verbosity=1",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


def run_in_own_process(name: str, args: argparse.Namespace, scratch: Path) -> int:
    """One target; its exit code, which is 0 if nothing was found."""
    corpus = args.corpus / name if args.corpus else scratch / name
    corpus.mkdir(parents=True, exist_ok=True)
    args.artifacts.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, __file__, name, "--inside", "--seconds", args.seconds]
    more = ["--corpus", corpus, "--artifacts", args.artifacts, "--seed", args.seed]
    environment = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, words), *map(str, more)], env=environment, check=False)
    return done.returncode


def parse(words: Iterable[str] | None = None) -> argparse.Namespace:
    """Take the command line apart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="+", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--corpus", type=Path, help="keep what was found interesting here")
    parser.add_argument("--artifacts", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(words)  # type: ignore[arg-type]


def main() -> int:
    """Run the targets one after another; 1 if one of them found something."""
    args = parse()
    if args.inside:
        fuzz(args.target[0], args.seconds, args.corpus, args.artifacts.resolve(), args.seed)
    names = TARGETS if "all" in args.target else args.target
    memory = Path("/dev/shm")  # the targets write thousands of files a second
    place = memory if os.access(memory, os.W_OK) else None
    scratch = Path(tempfile.mkdtemp(prefix="legseg-fuzz-", dir=place))
    try:
        codes = {name: run_in_own_process(name, args, scratch) for name in names}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name, code in codes.items():
        print(f"{name}: {'nothing found' if code == 0 else f'FOUND SOMETHING (code {code})'}")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
