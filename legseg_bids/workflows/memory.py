"""How much memory each step needs: measured, declared to nipype, so that workers fit.

``data/memory.tsv`` is what ``benchmarks/memory.py`` measured: peak resident memory of each step
in a process of its own, for stations of 0.2 to 9.4 million voxels with opposed-phase, water and
fat images; a line that lies above all peaks. Peaks in MiB, x86-64, OpenVINO, one thread:

=========== ======= ======= ======== ====== ======= ===== ======= ===== =====
grid        voxels  prepare classify locate segment merge measure write draw
=========== ======= ======= ======== ====== ======= ===== ======= ===== =====
128x64x20   163840      93      163     75     513    80      82    80    93
192x96x31   571392     130      171     75     766    91      98    88    96
256x256x31  2031616    178      198     75     752   130     156   117   108
320x320x40  4096000    216      236     75     884   181     235   159   138
512x384x48  9437184    394      347     75    1200   326     446   266   214
=========== ======= ======= ======== ====== ======= ===== ======= ===== =====

No network of the hip was at hand. Where there is one, two look at the slices around the lowest of
the hip, so merge and write may read twice the labels and probabilities: 6 bytes for each voxel
were added to their lines (merge was seen to need 3, for limbs that fill half of the image).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

TABLE = Path(__file__).parent / "data" / "memory.tsv"
MIB = 1024**2
#: Step whose need says nothing about that of others: it runs the networks.
NETWORKS_STEP = "segment"


@dataclass(frozen=True)
class Need:
    """Memory of a step: ``base_mib`` whatever the image, and so much for each voxel."""

    base_mib: float
    bytes_per_voxel: float

    def gib(self, voxels: int) -> float:
        """Memory for an image of so many voxels, GiB."""
        return (self.base_mib + self.bytes_per_voxel * voxels / MIB) / 1024


@lru_cache(maxsize=1)
def load_needs(path: Path = TABLE) -> dict[str, Need]:
    """Read the table: step to need."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {
        row["step"]: Need(float(row["base_mib"]), float(row["bytes_per_voxel"])) for row in rows
    }


def mem_gb(step: str, voxels: int) -> float:
    """What to declare as ``mem_gb`` of a step (nipype means GiB), rounded up to 0.01.

    Parameters
    ----------
    step : str
        Name of the node; one that was not measured gets the most that others need, the
        networks left aside.
    voxels : int
        Of one volume of the station; 0 where it is not known.

    Examples
    --------
    >>> mem_gb("write", 0) < mem_gb("write", 4_000_000) < mem_gb("segment", 4_000_000)
    True
    """
    needs = load_needs()
    known = [needs[step]] if step in needs else [n for s, n in needs.items() if s != NETWORKS_STEP]
    return round(max(need.gib(voxels) for need in known) + 0.005, 2)


def voxels_of(images: Iterable[Path]) -> int:
    """Voxels of one volume of the largest image; headers are read, not data.

    An image that cannot be read counts as none: it fails when its turn comes, by name.

    Examples
    --------
    >>> voxels_of([Path("nowhere.nii")])
    0
    """
    return max(map(_voxels, images), default=0)


def _voxels(image: Path) -> int:
    import nibabel as nib

    try:
        shape = nib.load(image).shape  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - nibabel raises what it likes on a damaged header
        return 0
    return max(0, prod(int(n) for n in shape[:3]))
