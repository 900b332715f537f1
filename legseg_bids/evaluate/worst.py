"""What to look at first: the worst structures of images, and the worst participants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from legseg_bids.bids.sidecars import NOT_AVAILABLE
from legseg_bids.evaluate.cells import Cell, Sheet, number_cell, or_none, plain_cell
from legseg_bids.evaluate.observations import (
    BOTH_EMPTY,
    ITEM,
    PREDICTION_EMPTY,
    REFERENCE_EMPTY,
    load_metrics,
    structure_title,
)

if TYPE_CHECKING:
    from legseg_bids.evaluate.compared import Compared

SHOWN = ("dice", "hd95", "abs_relative_volume_error")
"""Metrics of participants."""
MAX_WORST = 60
"""Rows of each model among the worst."""
STATUS = {"ok": "", PREDICTION_EMPTY: "not found", REFERENCE_EMPTY: "not in the reference"}


def worst(compared: Compared) -> Sheet:
    """Structures of images to look at first: the lowest Dice, large ones before small ones."""
    seen = compared.seen
    dice = seen.numbers["dice"]
    usual = seen.single(load_metrics()["dice"])
    rows: list[list[Cell]] = []
    total = 0
    for at, model in enumerate(seen.models):
        there = np.flatnonzero(np.isfinite(dice[at]) & (seen.status[at] != BOTH_EMPTY))
        total += len(there)
        larger = np.fmax(seen.numbers["reference_cm3"][at], seen.numbers["predicted_cm3"][at])
        order = np.lexsort((-np.nan_to_num(larger[there]), dice[at, there]))
        for item in there[order[:MAX_WORST]].tolist():
            known = usual[at, :, seen.structure[item]]
            known = known[np.isfinite(known)]
            median = float(np.median(known)) if len(known) else np.nan
            rows.append(_case(compared, at, model, item, median))
    rows.sort(key=lambda row: row[WORST.index("Dice")].by or 0.0)
    return Sheet("worst", WORST, 6, rows, total, len(WORST) - 1)


WORST = (
    "Model", "Participant", "Session", "Structure", "Side", "Note", "Dice", "usual for it",
    "HD95 (mm)", "Volume error (%)", "Reference (cm³)", "Image",
)  # fmt: skip


def worst_participants(compared: Compared) -> Sheet:
    """Participants with the lowest mean over structures, of each model."""
    seen = compared.seen
    metrics = [load_metrics()[name] for name in SHOWN]
    values = [seen.single(metric)[:, :, -1] for metric in metrics]
    rows = []
    for at, model in enumerate(seen.models):
        known = np.flatnonzero(np.isfinite(values[0][at]))
        for person in known[np.argsort(values[0][at, known], kind="stable")][:MAX_WORST].tolist():
            cells = [
                number_cell(metric, float(of_all[at, person]))
                for metric, of_all in zip(metrics, values, strict=True)
            ]
            rows.append([Cell(model), Cell(seen.participants[person]), *cells])
    rows.sort(key=lambda row: row[2].by or 0.0)
    total = len(seen.models) * len(seen.participants)
    return Sheet("people", ("Model", "Participant", *(m.label for m in metrics)), 2, rows, total)


def _case(compared: Compared, at: int, model: str, item: int, usual: float) -> list[Cell]:
    seen = compared.seen
    named = dict(zip(ITEM, seen.items[item], strict=True))
    values = {name: float(column[at, item]) for name, column in seen.numbers.items()}
    dice, error = load_metrics()["dice"], 100 * values["relative_volume_error"]
    blank = {NOT_AVAILABLE: ""}
    status = str(seen.status[at, item])
    return [
        Cell(model),
        Cell(named["participant_id"]),
        Cell(blank.get(named["session_id"], named["session_id"])),
        Cell(structure_title(named["structure"])),
        Cell(blank.get(named["side"], named["side"])),
        Cell(STATUS.get(status, status)),
        number_cell(dice, values["dice"]),
        number_cell(dice, usual),
        number_cell(load_metrics()["hd95"], values["hd95"]),
        Cell(f"{error:+.0f}" if np.isfinite(error) else NOT_AVAILABLE, or_none(error)),
        plain_cell(values["reference_cm3"]),
        Cell(named["image"]),
    ]
