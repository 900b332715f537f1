"""Simulated results of an evaluation, with effects that are known: tables without any image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

COLUMNS = (
    "model", "participant_id", "session_id", "image", "structure", "side", "slice", "status",
    "dice", "jaccard", "hd", "hd95", "msd", "relative_volume_error", "volume_error_cm3",
    "predicted_cm3", "reference_cm3", "slice_position",
)  # fmt: skip
THIGH = ("RF", "VL", "VI", "VM", "SAR", "GRA", "BFLH", "BFSH", "ST", "SM", "AM", "AL", "AB", "PEC")
CALF = ("SOL", "MG", "LG", "TA", "EDL", "EHL", "FL", "TP", "FDL", "FHL", "POP")
HIP = ("GMAX", "GMED", "GMIN", "TFL", "ILI", "PIR", "OE", "OI", "QF", "GS")
MANY = (*THIGH, *CALF, *HIP)


@dataclass(frozen=True)
class Simulated:
    """Who is simulated, and how good the models are.

    Attributes
    ----------
    models : mapping of str to float
        Mean Dice by model.
    participants : int
    structures, sides : sequence of str
    bias : mapping of str to float
        Relative volume error by model; 0 for those that are not named.
    severe : float
        Dice that every second participant loses, and the column ``group`` names.
    noise, person : float
        Standard deviation of Dice within and between participants.
    missed : float
        Share of structures that a model does not find.
    seed : int
    """

    models: Mapping[str, float] = field(default_factory=lambda: {"A": 0.9, "B": 0.85})
    participants: int = 12
    structures: Sequence[str] = ("RF", "VL", "SOL")
    sides: Sequence[str] = ("left", "right")
    bias: Mapping[str, float] = field(default_factory=dict)
    severe: float = 0.0
    noise: float = 0.01
    person: float = 0.02
    missed: float = 0.0
    seed: int = 0


def table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """Tab-separated text."""
    lines = [columns, *([_cell(row.get(name, "n/a")) for name in columns] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def evaluated(
    model: str, participant: str, structure: str, dice: float, **changes: object
) -> dict[str, object]:
    """One row of ``evaluation.tsv``."""
    volume = float(changes.pop("volume", 100.0))  # type: ignore[arg-type]
    bias = float(changes.pop("bias", 0.0))  # type: ignore[arg-type]
    return {
        "model": model, "participant_id": participant, "session_id": "n/a",
        "image": f"{participant}/anat/{participant}_dseg.nii.gz", "structure": structure,
        "side": "left", "slice": "all", "status": "ok", "dice": dice,
        "jaccard": dice / (2 - dice), "hd": 40 * (1 - dice) + 5, "hd95": 30 * (1 - dice) + 0.5,
        "msd": 8 * (1 - dice), "relative_volume_error": bias,
        "volume_error_cm3": bias * volume, "predicted_cm3": (1 + bias) * volume,
        "reference_cm3": volume, "slice_position": "n/a", **changes,
    }  # fmt: skip


def simulate(wanted: Simulated) -> list[dict[str, object]]:
    """Rows of ``evaluation.tsv``; all models see the same people."""
    rng = np.random.default_rng(wanted.seed)
    hard = dict(
        zip(wanted.structures, 0.04 * rng.normal(size=len(wanted.structures)), strict=True)
    )
    rows = []
    for number in range(1, wanted.participants + 1):
        person = wanted.person * rng.normal() - (wanted.severe if number % 2 else 0)
        size = 1 + 0.2 * rng.normal()
        for place, structure in enumerate(wanted.structures):
            for side in wanted.sides:
                volume = abs((40 + 30 * (place % 7)) * size * (1 + 0.05 * rng.normal()))
                for model, mean in wanted.models.items():
                    dice = mean + hard[structure] + person + wanted.noise * rng.normal()
                    bias = wanted.bias.get(model, 0.0) + 0.05 * rng.normal()
                    lost = rng.random() < wanted.missed
                    row = evaluated(
                        model, f"sub-{number:03d}", structure, min(0.995, max(0.02, dice)),
                        side=side, volume=volume, bias=bias,
                    )  # fmt: skip
                    rows.append({**row, **LOST} if lost else row)
    return rows


LOST = {
    "status": "prediction_empty", "dice": 0.0, "jaccard": 0.0, "hd": "n/a", "hd95": "n/a",
    "msd": "n/a", "relative_volume_error": -1.0, "predicted_cm3": 0.0,
}  # fmt: skip


def sliced(wanted: Simulated, slices: int = 20) -> list[dict[str, object]]:
    """Rows of ``evaluation_slices.tsv``: worse towards both ends of a structure."""
    rng = np.random.default_rng(wanted.seed + 1)
    rows = []
    for row in simulate(wanted):
        for at, position in enumerate(np.linspace(0, 100, slices)):
            end = 0.35 * np.exp(-min(position, 100 - position) / 6)
            dice = max(0.0, float(row["dice"]) - end + 0.01 * rng.normal())  # type: ignore[arg-type]
            rows.append({**row, "slice": at, "dice": dice, "slice_position": position})
    return rows


def confused(wanted: Simulated) -> list[dict[str, object]]:
    """Rows of ``confusion.tsv``: neighbours in the list are taken for each other."""
    rng = np.random.default_rng(wanted.seed + 2)
    rows: list[dict[str, object]] = []
    names = [f"{name} {side}" for side in wanted.sides for name in wanted.structures]
    for model, mean in wanted.models.items():
        for number in range(1, wanted.participants + 1):
            person = f"sub-{number:03d}"
            for at, name in enumerate(names):
                wrong = (1 - mean) * rng.random(2)
                told = {name: 1 - wrong.sum(), names[(at + 1) % len(names)]: wrong[0],
                        "background": wrong[1]}  # fmt: skip
                rows += [
                    {"model": model, "participant_id": person, "image": f"{person}.nii.gz",
                     "reference": name, "predicted": other, "voxels": round(10_000 * share)}
                    for other, share in told.items()
                ]  # fmt: skip
                rows.append(
                    {"model": model, "participant_id": person, "image": f"{person}.nii.gz",
                     "reference": "background", "predicted": name,
                     "voxels": round(10_000 * 0.1 * rng.random())}
                )  # fmt: skip
    return rows


def write_evaluation(
    folder: Path,
    wanted: Simulated | None = None,
    *,
    rows: Sequence[Mapping[str, object]] | None = None,
    more: bool = False,
) -> Path:
    """Write a folder as ``legseg-evaluate`` leaves it before it compares.

    Parameters
    ----------
    folder : Path
    wanted : Simulated, optional
        What is simulated.
    rows : sequence of mapping, optional
        Rows of ``evaluation.tsv`` instead of simulated ones.
    more : bool
        Whether to write slices, confusion and troubles, too.
    """
    wanted = wanted or Simulated()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.tsv").write_text(
        table(COLUMNS, simulate(wanted) if rows is None else rows)
    )
    if more:
        (folder / "evaluation_slices.tsv").write_text(table(COLUMNS, sliced(wanted)))
        columns = ("model", "participant_id", "image", "reference", "predicted", "voxels")
        (folder / "confusion.tsv").write_text(table(columns, confused(wanted)))
        columns = ("model", "participant_id", "session_id", "image", "kind", "problem")
        trouble = {
            "model": "A", "participant_id": "sub-999", "image": "sub-999_dseg.nii.gz",
            "kind": "error", "problem": "sub-999_dseg.nii.gz has no prediction; expected one",
        }  # fmt: skip
        (folder / "troubles.tsv").write_text(table(columns, [trouble]))
    return folder


def write_participants(folder: Path, participants: int = 12) -> Path:
    """Write ``participants.tsv``: odd numbers are severe, even ones mild."""
    path = folder / "participants.tsv"
    rows = [
        {"participant_id": f"sub-{n:03d}", "group": "severe" if n % 2 else "mild", "age": 20 + n}
        for n in range(1, participants + 1)
    ]
    path.write_text(table(("participant_id", "group", "age"), rows))
    return path


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
