"""One dataset full of bad images: each is told by name, and none harms the others."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from running import Legseg
from skeleton import Image, legs, opposed, write_dataset, write_image

WATER, FAT = legs()
ECHO_TIMES = (0.00345, 0.0046, 0.00575)

FAILED = {
    "empty": "is empty (0 bytes)",
    "truncated": "is truncated",
    "text": "is not a NIfTI image",
    "zero": "no signal",
    "nan": "no signal",
    "constant": "expected an image of a leg",
    "plane": "a single slice",
    "volumes": "expected one 3-D volume",
    "flat": "no usable position and voxel size",
    "grids": "expected the same grid",
    "link": "datalad get",
}
SKIPPED = {
    "wateronly": "without its fat image",
    "timeless": "no usable EchoTime",
    "late": "no opposed-phase echo",
    "nothing": "no image to look at",
}
GOOD = ("acquired", "single", "some", "negative", "milliseconds", "waterfat")


def stem(label: str, acquisition: str = "outphase") -> str:
    return f"sub-{label}/anat/sub-{label}_acq-{acquisition}_T1w"


def echoes(label: str, times: tuple[float | None, ...]) -> dict[str, Image]:
    """Echoes of which the first is the opposed-phase one, if the times say so."""
    images = {}
    for number, time in enumerate(times, start=1):
        data = np.abs(WATER - FAT) if number == 1 else WATER + FAT
        metadata = {"MagneticFieldStrength": 3} | ({"EchoTime": time} if time else {})
        name = f"sub-{label}/anat/sub-{label}_acq-dixon_echo-{number}_MEGRE"
        images[name] = Image(data, metadata=metadata)
    return images


def unusual(data: np.ndarray, value: float) -> np.ndarray:
    data = data.copy()
    data[40:50, 20:30, 2:4] = value
    return data


def write_all(root: Path) -> Path:
    clean = opposed().data
    images = {
        stem("acquired"): Image(clean),
        stem("single"): Image(clean[..., None]),
        stem("some"): Image(unusual(clean, np.nan)),
        stem("negative"): Image(unusual(clean, -40.0)),
        **echoes("milliseconds", tuple(1e3 * time for time in ECHO_TIMES)),
        stem("waterfat", "water"): Image(WATER),
        stem("waterfat", "fat"): Image(FAT),
        stem("zero"): Image(np.zeros_like(clean)),
        stem("nan"): Image(np.full_like(clean, np.nan)),
        stem("constant"): Image(np.full_like(clean, 7.0)),
        stem("plane"): Image(clean[..., 0]),
        stem("volumes"): Image(np.stack([clean, clean], axis=-1)),
        stem("grids", "water"): Image(WATER),
        stem("grids", "fat"): Image(FAT[:-1]),
        stem("wateronly", "water"): Image(WATER),
        **echoes("timeless", (None, None)),
        **echoes("late", (0.0046, 0.0023)),
    }
    write_dataset(root, images)
    write_damaged(root)
    (root / "sub-nothing").mkdir()
    return root


def write_damaged(root: Path) -> None:
    """Files that no library would write."""
    paths = {
        label: write_image(root / stem(label), opposed())
        for label in ("empty", "truncated", "text", "flat", "link")
    }
    content = paths["truncated"].read_bytes()
    paths["empty"].write_bytes(b"")
    paths["truncated"].write_bytes(content[: len(content) // 2])
    paths["text"].write_text("not an image " * 100)
    paths["flat"].write_bytes(gzip.compress(without_geometry(paths["flat"])))
    paths["link"].unlink()
    paths["link"].symlink_to("../../.git/annex/objects/gone")


def without_geometry(path: Path) -> bytes:
    """The file with an affine of zeros (sform code 1, rows of NIfTI-1 from byte 280)."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[252:256] = b"\x00\x00\x01\x00"
    content[280:328] = bytes(48)
    return bytes(content)


def test_each_bad_image_is_told_and_the_others_are_segmented(
    legseg: Legseg, tmp_path: Path
) -> None:
    ended = legseg(bids=write_all(tmp_path / "many"))
    assert ended.code == 1
    for label, said in FAILED.items():
        line = ended.line(f"sub-{label}")
        assert line.startswith("FAILED: ")
        assert said in line
        assert "crash-" in line
    for label, said in SKIPPED.items():
        line = ended.line(f"sub-{label}")
        assert line.startswith("SKIPPED: ")
        assert said in line
    for label in GOOD:
        assert ended.line(f"sub-{label}").startswith("SEGMENTED: ")
    assert ended.lines[-1] == (
        f"legseg-bids: exit code 1: {len(GOOD)} segmented, {len(SKIPPED)} skipped "
        f"because unusable, {len(FAILED)} failed"
    )
    written = {path.name.split("_")[0] for path in (tmp_path / "out").rglob("*_dseg.*")}
    assert written == {f"sub-{label}" for label in GOOD}
    assert not list((tmp_path / "out").rglob("*.tmp"))
    text = "\n".join(ended.lines)
    assert "sub-some_acq-outphase_T1w.nii.gz: 200 of" in text
    assert "were not finite and became 0" in text
    assert "were negative and became 0" in text
    assert "with a single volume, read as 3-D" in text


def test_first_crash_stops_the_run_if_asked_to(legseg: Legseg, tmp_path: Path) -> None:
    images = {stem(label): Image(opposed().data * factor) for label, factor in
              (("a", 1), ("b", 0), ("c", 1))}  # fmt: skip
    ended = legseg("--stop-on-first-crash", bids=write_dataset(tmp_path / "three", images))
    assert [line.split(":")[0] for line in ended.lines[:-1]] == ["SEGMENTED", "FAILED", "FAILED"]
    assert "no signal" in ended.lines[1]
    assert "stopped before it as it was asked to (--stop-on-first-crash): " in ended.lines[2]
    assert "no signal" in ended.lines[2]
    assert ended.code == 1


@pytest.mark.parametrize("broken", ["labels", "table", "sidecar", "figure"])
def test_a_full_disk_leaves_nothing_half_written(
    legseg: Legseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The disk fills up at one of the files; after room was made, the next run goes on."""
    import os

    endings = {"labels": "dseg.nii.gz", "table": ".tsv", "sidecar": "dseg.json", "figure": ".png"}
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if str(target).endswith(endings[broken]):
            raise OSError(28, os.strerror(28))
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        ended = legseg()
    out = tmp_path / "out"
    assert ended.code == 1
    assert "the disk is full" in ended.lines[0]
    assert not list(out.rglob("*.tmp"))
    assert not list(out.rglob(f"*{endings[broken]}"))
    assert list(out.rglob("*dseg.json")) == [] or broken == "figure"
    assert legseg().code == 0
    for path in out.rglob("*.json"):
        json.loads(path.read_text())


def test_a_crash_file_tells_nothing_of_the_person(legseg: Legseg, tmp_path: Path) -> None:
    private = {
        "PatientName": "Ada^Lovelace",
        "PatientBirthDate": "18151210",
        "InstitutionAddress": "12 St James's Square",
        "ProtocolName": "follow-up of Ada",
        "EchoTime": 0.00115,
        "MagneticFieldStrength": 3,
    }
    bids = write_dataset(tmp_path / "one", {stem("x"): opposed(**private)})
    (bids / f"{stem('x')}.nii.gz").write_bytes(b"")
    assert legseg(bids=bids).code == 1
    (crash,) = (tmp_path / "out" / "logs" / "sub-x").glob("crash-*.txt")
    logs = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "is empty" in crash.read_text()
    for word in ("Ada", "Lovelace", "18151210", "James"):
        assert word not in logs
