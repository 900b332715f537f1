"""A builder of small raw datasets, and a chooser of echoes that needs no physics room."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

Build = Callable[[Mapping[str, Mapping[str, Any]]], Path]


def nifti_bytes(data: np.ndarray, affine: np.ndarray | None = None) -> bytes:
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 8.0, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units("mm", "sec")
    return image.to_bytes()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Write a raw dataset from ``{path without extension: sidecar}``; return its root."""

    def _build(images: Mapping[str, Mapping[str, Any]]) -> Path:
        root = tmp_path / "raw"
        root.mkdir(exist_ok=True)
        description = {"Name": "test", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        (root / "dataset_description.json").write_text(json.dumps(description))
        (root / "README").write_text("Nobody was scanned for this dataset.\n" * 5)
        data = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
        for stem, sidecar in images.items():
            path = root / f"{stem}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image.from_bytes(nifti_bytes(data)), path)
            path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))
        return root

    return _build


@pytest.fixture
def nearest_odd() -> Callable[[list[float], float], int]:
    """Choose by distance to an odd multiple of 1.15 ms at 3 T (2.3 ms at 1.5 T)."""

    def choose(times: list[float], b0: float) -> int:
        first = 1.15e-3 * 3 / b0
        apart = [abs((time / first) % 2 - 1) for time in times]
        if not apart or min(apart) > 0.3:
            raise ValueError(f"no opposed echo among {times}")
        return apart.index(min(apart))

    return choose
