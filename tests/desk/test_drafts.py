"""Corrections that are not finished: nothing is lost, whatever happens."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from desks import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legseg_bids.desk import drafts
from legseg_bids.desk.refusals import Conflict, NotThere, Unfit

RESULT = "0123456789abcdef"
SHAPE = (6, 5, 4)
AFFINE = np.diag([-2.0, 3.0, 8.0, 1.0])  # x runs from right to left
KNOWN = (0, 1, 61, 62, 151)


def voxels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(KNOWN, SHAPE).astype(np.uint8)


def packed(data: np.ndarray, affine: np.ndarray = AFFINE, kind=nib.Nifti1Image) -> bytes:
    return kind(data, affine).to_bytes()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drafts").mkdir()
    return tmp_path / "drafts"


def save(folder: Path, labels: Path, content: bytes, based_on: int = 0) -> int:
    part = labels.with_name("upload.part")
    part.write_bytes(content)
    return drafts.save(folder, RESULT, based_on, part, labels)


def kept(folder: Path) -> np.ndarray:
    path = drafts.latest(folder, RESULT).path
    assert path is not None
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize(
    "content",
    [
        packed(voxels()),
        gzip.compress(packed(voxels())),
        packed(voxels().astype(np.float32)),
        packed(voxels().astype(np.int16)),
        packed(voxels()[..., None]),
        packed(voxels(), kind=nib.Nifti2Image),
    ],
)
def test_a_draft_is_kept_on_the_grid_of_the_labels(
    folder: Path, labels: Path, content: bytes
) -> None:
    assert save(folder, labels, content) == 1
    np.testing.assert_array_equal(kept(folder), voxels())
    image = nib.load(drafts.latest(folder, RESULT).path)
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert image.get_data_dtype() == np.uint8


def test_revisions(folder: Path, labels: Path) -> None:
    assert drafts.latest(folder, RESULT) == drafts.Draft()
    for number in range(3):
        assert save(folder, labels, packed(voxels(number)), number) == number + 1
    assert [path.name for path in folder.iterdir()] == [f"{RESULT}_rev-000000003.nii.gz"]
    for stale in (0, 1, 2, 4):
        with pytest.raises(Conflict) as refused:
            save(folder, labels, packed(voxels(9)), stale)
        assert refused.value.more == {"revision": 3}
    np.testing.assert_array_equal(kept(folder), voxels(2))


def test_no_number_means_two_things(folder: Path, labels: Path) -> None:
    save(folder, labels, packed(voxels()))
    assert drafts.discard(folder, RESULT, 1) == 2
    assert drafts.latest(folder, RESULT) == drafts.Draft(2, None)
    with pytest.raises(Conflict):  # a tab that still shows what was thrown away
        save(folder, labels, packed(voxels(5)), 1)
    with pytest.raises(NotThere):
        drafts.discard(folder, RESULT, 2)
    assert save(folder, labels, packed(voxels(7)), 2) == 3
    np.testing.assert_array_equal(kept(folder), voxels(7))


def test_results_do_not_share_drafts(folder: Path, labels: Path) -> None:
    save(folder, labels, packed(voxels()))
    other = "f" * 16
    assert drafts.latest(folder, other) == drafts.Draft()
    assert list(drafts.all_latest(folder)) == [RESULT]
    (folder / "stray").touch()
    assert drafts.all_latest(folder / "nowhere") == {}


BOMB = gzip.compress(packed(voxels()) + bytes(50_000_000))
BAD = {
    "nothing": (b"", "cannot be read"),
    "text": (b"not an image" * 100, "cannot be read"),
    "cut": (packed(voxels())[:-10], "cannot be read"),
    "cut gzip": (gzip.compress(packed(voxels()))[:-10], "ends early"),
    "damaged gzip": (b"\x1f\x8b" + b"x" * 100, "damaged"),
    "bomb": (BOMB, "unpacks to more"),
    "larger": (packed(np.zeros((6, 5, 5), np.uint8)), "another grid"),
    "turned": (packed(voxels().transpose(1, 0, 2)), "another grid"),
    "moved": (packed(voxels(), AFFINE + np.eye(4)[:, ::-1] * 0.1), "another grid"),
    "flipped": (packed(voxels(), np.diag([2.0, 3.0, 8.0, 1.0])), "another grid"),
    "several": (packed(np.stack([voxels(), voxels()], -1)), "another grid"),
    "unknown": (packed(np.full(SHAPE, 200, np.uint8)), "value 200"),
    "negative": (packed(np.full(SHAPE, -1, np.int16)), "value -1"),
    "fractions": (packed(np.full(SHAPE, 0.5, np.float32)), "value 0.5"),
    "not finite": (packed(np.full(SHAPE, np.nan, np.float32)), "value nan"),
    "colours": (
        packed(np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])), "cannot be read|holds"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_correction_is_refused(folder: Path, labels: Path, kind: str) -> None:
    save(folder, labels, packed(voxels()))
    content, message = BAD[kind]
    with pytest.raises(Unfit, match=message):
        save(folder, labels, content, 1)
    np.testing.assert_array_equal(kept(folder), voxels())
    assert len(list(folder.iterdir())) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_damage_is_refused_or_harmless(labels: Path, data) -> None:
    content = bytearray(packed(voxels()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = labels.with_name("damaged.part")
    path.write_bytes(bytes(content))
    try:
        found = drafts.read_edited(path, nib.load(labels))
    except Unfit:
        return
    assert found.shape == SHAPE


KILLED = """
import json, os, signal, sys
from pathlib import Path
from legseg_bids.desk import drafts

folder, labels, old, new, result = sys.argv[1:]
folder, labels, old, new = map(Path, (folder, labels, old, new))

def save_until(moment):
    left = [moment]

    def watch(event, arguments):
        # Every change of the disk that saving makes, and the moment before it.
        if event in ("open", "os.rename", "os.remove") and "drafts" in str(arguments[0]):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(watch)
    drafts.save(folder, result, 1, new, labels)
    os._exit(0)

for moment in range(100):
    for path in folder.iterdir():
        path.unlink()
    drafts.save(folder, result, 0, old, labels)
    child = os.fork()
    if not child:
        save_until(moment)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    kept = drafts.latest(folder, result)
    print(json.dumps([code, kept.revision, kept.path.read_bytes().hex()]))
    if code == 0:
        break
"""


def test_killed_at_any_moment_the_old_or_the_new_draft_is_whole(
    folder: Path, labels: Path
) -> None:
    contents = {}
    for number in (1, 2):
        path = labels.with_name(f"{number}.part")
        path.write_bytes(packed(voxels(number)))
        contents[number] = voxels(number)
    words = (folder, labels, labels.with_name("1.part"), labels.with_name("2.part"), RESULT)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    for _, revision, content in told:
        image = nib.Nifti1Image.from_bytes(gzip.decompress(bytes.fromhex(content)))
        np.testing.assert_array_equal(np.asarray(image.dataobj), contents[revision])
    codes, revisions = [code for code, _, _ in told], [revision for _, revision, _ in told]
    assert codes[-1] == 0
    assert set(codes[:-1]) == {-signal.SIGKILL}
    assert set(revisions) == {1, 2}
    assert revisions == sorted(revisions)
