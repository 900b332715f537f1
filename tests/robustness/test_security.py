"""Hostile and personal data: what a run may write, say, start and ask for."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from running import run_legseg
from skeleton import Image, legs, opposed, outphase_dataset, tree, write_dataset, write_image
from watching import Watched, run_watched

#: Stands wherever a name, a date of birth or a hospital may stand.
PERSON = "Zyxwv-Qponm"
PERSONAL_FIELDS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight",
    "PatientAddress", "OtherPatientIDs", "InstitutionName", "InstitutionAddress", "StationName",
    "ReferringPhysicianName", "OperatorsName", "DeviceSerialNumber", "AccessionNumber",
    "ImageComments", "AcquisitionTime", "StudyDescription", "SeriesDescription", "ProtocolName",
)  # fmt: skip
LONG = "x" * 210
SHAPE = (40, 40, 5)
HOSTILE_RUNS = (
    "..", "../../escape", "a b", "a'b\"c", "$(touch $HOME/run)", "`touch run`", "a;touch run;",
    "|x", "a\nSEGMENTED: b", "a\rb", "\x1b[2Ja", "é中😀", "\u202egnp", "%s%n{0}", "-rf", "~", "*",
    "\udcff", "<script>alert(1)</script>", "&amp;", "\\", "=1+1", LONG,
)  # fmt: skip
"""Values of the entity ``run``; a slash becomes a folder."""


def personal(**more: object) -> dict[str, object]:
    return {**dict.fromkeys(PERSONAL_FIELDS, PERSON), "dcmmeta": {"Name": [PERSON]}, **more}


def with_personal_header(path: Path) -> None:
    """Put the person into the free text of a NIfTI header, and into an extension of it."""
    image = nib.load(path)
    data = image.get_fdata(dtype="f4")
    header = image.header
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        header[field] = PERSON.encode()
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", PERSON.encode()))
    nib.save(nib.Nifti1Image(data, image.affine, header), path)


def write_hostile(root: Path) -> Path:
    """A dataset in which every file tries something."""
    water, fat = legs(SHAPE, limbs=1)
    good = Image(np.abs(water - fat))
    write_dataset(root, {"sub-01/anat/sub-01_acq-outphase_T1w": good})
    (root / "sub-01/anat/sub-01_acq-outphase_T1w.json").write_text(json.dumps(personal()))
    with_personal_header(root / "sub-01/anat/sub-01_acq-outphase_T1w.nii.gz")
    (root / "sub-01/anat/sub-01_patient.json").write_text(json.dumps(personal()))
    (root / "participants.tsv").write_text(f"participant_id\tname\nsub-01\t{PERSON}\n")
    (root / "participants.json").write_text(json.dumps(personal()))

    for name, data in (("water", water), ("fat", fat)):
        stem = root / f"sub-02/ses-1/anat/sub-02_ses-1_acq-{name}_T1w"
        write_image(stem, Image(data, metadata=personal()))

    # One that fails: its crash file must not name the person either.
    broken = root / "sub-03/anat/sub-03_acq-outphase_T1w"
    write_image(broken, Image(good.data, metadata=personal()))
    with_personal_header(broken.with_name(broken.name + ".nii.gz"))
    content = gzip.decompress(broken.with_name(broken.name + ".nii.gz").read_bytes())
    broken.with_name(broken.name + ".nii.gz").write_bytes(gzip.compress(content[:-900]))

    whole = (root / "sub-01/anat/sub-01_acq-outphase_T1w.nii.gz").read_bytes()
    for run in HOSTILE_RUNS:
        name = f"sub-04_acq-outphase_run-{run}_T1w"
        path = root / "sub-04/anat" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole)
        path.with_name(f"{path.name.partition('.nii')[0]}.json").write_text("{}")
    for folder in ("sub-..", "sub-$(id)", "sub-a b"):
        path = root / folder / "anat" / f"{folder}_acq-outphase_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(whole)

    # Links as DataLad makes them, a folder that is one, and one that leads to itself.
    outside = root.parent / "outside"
    (outside / "anat").mkdir(parents=True)
    (outside / "anat/sub-05_acq-outphase_T1w.nii.gz").write_bytes(whole)
    (outside / "anat/sub-05_acq-outphase_T1w.json").write_text("{}")
    (root / "sub-05").symlink_to(outside)
    (root / "sub-06/anat").mkdir(parents=True)
    link = root / "sub-06/anat/sub-06_acq-outphase_T1w.nii.gz"
    link.symlink_to(outside / "anat/sub-05_acq-outphase_T1w.nii.gz")
    (root / "sub-06/anat/loop").symlink_to("..")

    (root / "sub-07/anat").mkdir(parents=True)
    os.mkfifo(root / "sub-07/anat/sub-07_acq-outphase_T1w.nii.gz")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def run(folder: Path, tiny_models: Path) -> Watched:
    """One run over the hostile dataset, with workers, all its processes watched."""
    bids = write_hostile(folder / "bids")
    options = ("--models", tiny_models, "--skip-bids-validation", "--device", "cpu", "-v")
    workers = ("--nprocs", "2", "--omp-nthreads", "1", "--write-probabilities")
    return run_watched(folder, bids, folder / "out", "participant", *options, *workers)


def test_the_run_comes_to_its_end(run: Watched) -> None:
    assert run.code == 1
    assert re.search(r"exit code 1: \d+ segmented", run.out.splitlines()[-1])


def test_nothing_is_written_elsewhere(run: Watched, folder: Path) -> None:
    assert run.written_outside(folder / "out", folder / "tmp") == []
    assert len(run.written) > 100  # or the watcher sees nothing
    assert tree(folder / "home") == tree(folder / "cwd") == tree(folder / "tmp") == []
    assert tree(folder / "outside") == [
        f"anat/sub-05_acq-outphase_T1w.{extension}" for extension in ("json", "nii.gz")
    ]


def test_output_names_are_harmless(run: Watched, folder: Path) -> None:
    names = [path.relative_to(folder / "out") for path in (folder / "out").rglob("*")]
    assert [str(n) for n in names if not re.fullmatch(r"[A-Za-z0-9_+.-]+", n.name)] == []
    assert not any(name.name.startswith(("-", "..")) for name in names)


@pytest.mark.parametrize("subject", ["01", "05", "06"])
def test_links_are_read(run: Watched, folder: Path, subject: str) -> None:
    assert list((folder / "out" / f"sub-{subject}").rglob("*_dseg.json"))


def test_no_network(run: Watched) -> None:
    assert run.network == []


def test_no_programme_is_started_through_a_shell_with_data(run: Watched, folder: Path) -> None:
    """nipype asks ``/bin/sh`` for the mounts when it is imported; nothing of ours goes there."""
    for first, words in run.started:
        shell = os.path.basename(first) in ("sh", "bash")  # noqa: PTH119
        assert not shell or words == ["/bin/sh", "-c", "mount"], words
        assert not any("touch" in word for word in words)


def test_one_printable_line_for_each_image(run: Watched) -> None:
    *results, last = run.out.rstrip("\n").split("\n")
    assert last.startswith("legseg-bids: exit code")
    kinds = ("SEGMENTED: ", "MERGED: ", "SKIPPED: ", "FAILED: ", "  warning: ")
    assert [line for line in results if not line.startswith(kinds)] == []
    assert all(line.isprintable() for line in (*results, *run.err.rstrip("\n").split("\n")))
    # Every image of the dataset is named in one of them.
    for name in ("run-a b_", "sub-03_", "sub-05_", "sub-07_", r"a\nSEGMENTED: b", "run-é中😀"):
        assert sum(name in line for line in results if not line.startswith("  ")) >= 1, name


def test_a_pipe_is_not_waited_for(run: Watched) -> None:
    (line,) = [line for line in run.out.splitlines() if "sub-07" in line]
    assert line.startswith(("FAILED", "SKIPPED"))


def readable(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.endswith(".gz") else content


def test_nothing_personal_is_passed_on(run: Watched, folder: Path) -> None:
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert [str(path) for path in files if PERSON.encode() in readable(path)] == []
    assert PERSON not in run.out + run.err
    # Three kinds of output that could hold it: results, run logs, a crash file.
    for pattern in ("sub-02*/**/*_dseg.json", "logs/sub-01/*.toml", "logs/sub-03/crash-*"):
        assert list((folder / "out").glob(pattern)), pattern


def test_cells_of_tables_hold_no_breaks(run: Watched, folder: Path) -> None:
    for path in (folder / "out").rglob("*.tsv"):
        header, *rows = path.read_bytes().rstrip(b"\n").split(b"\n")
        assert {row.count(b"\t") for row in rows} <= {header.count(b"\t")}, path
        assert not any(byte < 32 for byte in b"".join((header, *rows)).replace(b"\t", b"")), path


def test_group_tables_of_a_hostile_study(run: Watched, folder: Path) -> None:
    """The group level must come to its end on what the run has left behind."""
    ended = run_legseg("-", folder / "out", "group")
    assert ended.code == 0
    assert all(line.isprintable() for line in ended.lines)
    assert PERSON not in "".join(ended.lines)


# ----------------------------------------------------------------- links in the output


@pytest.mark.parametrize("link", ["sub-01", "logs", "sub-01/anat"])
def test_folders_of_the_output_that_lead_elsewhere_are_refused(
    tmp_path: Path, bids_dir: Path, tiny_models: Path, link: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "out" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    options = ("--models", tiny_models, "--skip-bids-validation")
    ended = run_legseg(bids_dir, tmp_path / "out", "participant", *options)
    assert ended.code == 73
    assert f"{link} is a link to" in ended.lines[-1]
    assert tree(tmp_path / "elsewhere") == []


def test_an_output_folder_that_is_a_link(
    tmp_path: Path, bids_dir: Path, tiny_models: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    options = ("--models", tiny_models, "--skip-bids-validation")
    assert run_legseg(bids_dir, tmp_path / "out", "participant", *options).code == 0


# ------------------------------------------------------- strangers, closed file systems


@pytest.fixture
def anybody() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def can(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


#: Root becomes a user that nobody knows. It may read everything, for the Python that runs the
#: tests may lie in somebody's home; it may write no more than anybody.
NOBODY = [
    "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--no-new-privs",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
    "--bounding-set=-all,+dac_read_search",
]  # fmt: skip


def test_an_unknown_user_without_a_home(anybody: Path, tiny_models: Path) -> None:
    """As in a container that is started with ``--user 12345``."""
    if not can(*NOBODY, "true"):
        pytest.skip("needs the right to become somebody else")
    models = shutil.copytree(tiny_models, anybody / "models")
    bids = outphase_dataset(anybody / "bids", 2)
    (bids / "sub-02/anat/sub-02_acq-outphase_T1w.nii.gz").write_bytes(b"no image")
    for name in ("site", "home", "tmp", "cwd", "out"):
        (anybody / name).mkdir()
    for name in ("tmp", "out"):
        os.chown(anybody / name, 12345, 12345)
    (anybody / "watch.jsonl").touch()
    (anybody / "watch.jsonl").chmod(0o666)
    words = (bids, anybody / "out", "participant", "--models", models, "--device", "cpu")
    seen = run_watched(
        anybody,
        *words,
        cwd=Path("/"),
        environment={"HOME": "/nonexistent"},
        before=NOBODY,
    )
    assert not can(*NOBODY, "touch", str(anybody / "bids/stray"))  # or the test could not fail
    assert (seen.code, seen.err.count("Traceback")) == (1, 0), seen.out + seen.err
    assert seen.out.splitlines()[-1].endswith("1 segmented, 1 failed")
    assert list((anybody / "out/logs/sub-02").glob("crash-*"))
    assert seen.written_outside(anybody / "out", anybody / "tmp") == []


READ_ONLY = """
set -e
PATH=$PATH:/usr/sbin:/sbin
mount --rbind / /mnt; mount -o remount,bind,ro /mnt
mount --bind "$1" "/mnt$1"; shift
exec chroot /mnt "$@"
"""


def test_nothing_but_output_and_temporary_folder_can_be_written(
    anybody: Path, tiny_models: Path
) -> None:
    """A read-only root and no network at all, as in a locked-down container."""
    if not can("unshare", "--mount", "--net", "true"):
        pytest.skip("needs the right to make name spaces")
    folder = anybody
    models = shutil.copytree(tiny_models, folder / "models")
    bids = outphase_dataset(folder / "bids", 1)
    inside = ["unshare", "--mount", "--net", "sh", "-c", READ_ONLY, "sh", str(folder)]
    words = (bids, folder / "out", "participant", "--models", models, "--device", "cpu")
    seen = run_watched(folder, *words, cwd=Path("/"), before=inside)
    assert seen.code == 0, seen.out + seen.err
    assert "not found" not in seen.err  # the validator ran


# ------------------------------------------------------------------------------- output


def test_a_log_that_knows_only_ascii(tmp_path: Path, bids_dir: Path, tiny_models: Path) -> None:
    """Messages hold × and …, file names anything: no reason to stop."""
    odd = bids_dir / "sub-01/anat/sub-01_acq-outphase_run-é\udcff_T1w.nii.gz"
    odd.write_bytes(b"")
    flat = opposed().data[..., :1]
    write_image(bids_dir / "sub-02/anat/sub-02_acq-outphase_T1w", Image(flat))
    words = (bids_dir, tmp_path / "out", "participant", "--models", tiny_models)
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    seen = run_watched(tmp_path, *words, "--skip-bids-validation", environment=ascii_only)
    assert seen.code == 1, seen.out + seen.err
    assert "Traceback" not in seen.err
    assert "a single slice" in seen.out, seen.out


def test_the_watcher_sees_what_it_forbids(tmp_path: Path) -> None:
    """Or none of the tests above could fail."""
    script = (
        "import os, socket, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'stray')!r}).write_text('x')\n"
        f"os.mkdir({str(tmp_path / 'folder')!r})\n"
        "os.system('true')\n"
        "for call in (socket.socket, lambda: socket.getaddrinfo('localhost', 80)):\n"
        "    try: call()\n"
        "    except RuntimeError: pass\n"
        "    else: raise SystemExit(5)\n"
    )
    (tmp_path / "site").mkdir()
    from watching import SITE, environment_for

    (tmp_path / "site/sitecustomize.py").write_text(SITE)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment_for(tmp_path), check=False
    )
    assert done.returncode == 0
    kinds = [json.loads(line)[0] for line in (tmp_path / "watch.jsonl").read_text().splitlines()]
    assert kinds.count("written") == 2
    assert kinds.count("network") == 2
    assert kinds.count("started") == 1
