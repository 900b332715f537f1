"""A finished derivative, written through the same functions as a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from legseg_bids.bids.derivative import StationResult, write_station
from legseg_bids.bids.description import write_dataset_files
from legseg_bids.bids.stations import Station

SHAPE = (4, 4, 3)
Finish = Callable[..., Path]


def row(abbreviation: str, volume: float, **changes: Any) -> dict[str, Any]:
    index = {"RF_L": 61, "RF_R": 62}[abbreviation]
    return {
        "index": index,
        "name": abbreviation,
        "abbreviation": abbreviation,
        "volume": volume,
        "truncated": "none",
        "cut_in_plane": False,
        **changes,
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "derivatives" / "legseg"
    write_dataset_files(path, tmp_path)
    return path


@pytest.fixture
def finish(tmp_path: Path, out: Path) -> Finish:
    """Write the derivative of one image, named by its stem; return its sidecar."""

    def _finish(stem: str, rows: Sequence[dict[str, Any]], config: str = "abc") -> Path:
        parts = dict(part.split("-") for part in stem.split("_")[:-1])
        folder = Path(f"sub-{parts['sub']}")
        folder = folder / f"ses-{parts['ses']}" if "ses" in parts else folder
        path = tmp_path / folder / "anat" / f"{stem}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        header = nib.Nifti1Image(np.ones(SHAPE, np.int16), np.eye(4)).header
        header.set_xyzt_units("mm", "sec")
        path.write_bytes(stem.encode())
        station = Station(
            dataset=tmp_path,
            subject=parts["sub"],
            session=parts.get("ses"),
            query="opposed",
            kind="opposed",
            files={"opposed": path},
            source=path,
            entities=parts,
        )
        labels = np.full(SHAPE, 61, np.uint8)
        result = StationResult(labels, rows, mask=labels > 0)
        return write_station(out, station, header, result, config).sidecar

    return _finish


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    return row
