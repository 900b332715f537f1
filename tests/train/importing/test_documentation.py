"""Every command of docs/importing.md, on networks of the kinds that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("dynamic_network_architectures")

from foreign_models import Rims, export, write_nnunet_folder, write_snap_labels
from running import run_legseg
from skeleton import outphase_dataset, tree
from tiny_models import write_models

from legseg_bids.cli.import_model import main, parser

PAGE = Path(__file__).parents[3] / "docs" / "importing.md"
NAMES = ("Vastus lateralis", "Rectus femoris", "Gracilis", "Satorius", "Femur")
LOWER = ("Lateral gastrocnemius", "Soleus", "Tibialis anterior", "Popliteus", "Tibia")


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page takes for granted: a dataset, and networks with their labels."""
    monkeypatch.setenv("LEGSEG_MODELS", str(write_models(tmp_path / "shipped")))
    monkeypatch.chdir(tmp_path)
    outphase_dataset(tmp_path / "BIDS_DIR")
    for name, labels in (("N5_UpperLeg", NAMES), ("N6_LowerLeg", LOWER)):
        export(Rims(), tmp_path / f"{name}.onnx", (1, 1, 4, 32, 32))
        write_snap_labels(tmp_path / f"{name}.txt", labels)
    write_nnunet_folder(tmp_path)
    export(Rims(softmax=False), tmp_path / "mine.onnx", (1, 1, 4, 32, 32), (0, 2, 3, 4))
    rows = [f"{i}\t{name}" for i, name in enumerate(NAMES, start=1)]
    (tmp_path / "mine.tsv").write_text("\n".join(["channel\tname", *rows]) + "\n")


@pytest.mark.usefixtures("_files")
def test_every_command_runs(tmp_path: Path) -> None:
    said = commands()
    assert len(said) == 7
    for number, line in enumerate(said):
        programme, *words = shlex.split(line)
        if programme == "legseg-import":
            assert main(words) == 0, line
            continue
        out = f"OUT{number}"
        words = [out if word == "OUTPUT_DIR" else word for word in words]
        more = ("--skip-bids-validation", "--no-reports", "--device", "cpu", "--nprocs", "1")
        ended = run_legseg(*words, *more)
        assert ended.code == 0, ended.progress
        (image,) = (tmp_path / out).rglob("*_dseg.nii.gz")
        assert np.unique(np.asarray(nib.load(image).dataobj)).size > 2
    assert {name.split("/")[0] for name in tree(tmp_path / "models_qmr")} == {
        "locator", "lower_leg", "thigh",
    }  # fmt: skip


def test_every_option_stands_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    known = {option for action in parser()._actions for option in action.option_strings}
    assert {option for option in known if option.startswith("--") and option not in text} <= {
        "--help"
    }
    for option in re.findall(r"`(--[a-z-]+)", text):
        assert option in known | {"--models", "--engine"}
