"""The page of an evaluation: one HTML file that needs no network, no server and no other file.

Its content security policy names its script by its hash and allows no connection. Its size is
bounded: rows of every table are, and figures are smaller copies of those in ``figures``, at most
:data:`MAX_FIGURES`.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from legseg_bids import __version__
from legseg_bids.bids.write import write_text
from legseg_bids.evaluate import sheets, wording, worst
from legseg_bids.evaluate.cells import Sheet
from legseg_bids.evaluate.drawing import MAX_MODELS
from legseg_bids.evaluate.figures import PREFIX
from legseg_bids.evaluate.observations import load_metrics
from legseg_bids.evaluate.outcomes import GROUPS, MODELS, OPERATORS, PAIR
from legseg_bids.evaluate.structures import read_data
from legseg_bids.group.page import page_template

if TYPE_CHECKING:
    from legseg_bids.evaluate.compared import Compared

PAGE = "evaluation.html"
POLICY = (
    "default-src 'none'; script-src {script}; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
MAX_FIGURES = 40
WIDTH, COLORS = 1500, 96
"""Pixels and colours of a figure on the page."""
MAX_NOTES = 20


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes
    ----------
    name, title, caption : str
    data : str
        PNG, base64.
    width, height : int
        Pixels.
    """

    name: str
    title: str
    caption: str
    data: str
    width: int
    height: int


def write_page(out: Path, compared: Compared, figures: Iterable[Path]) -> Path:
    """Write ``evaluation.html``.

    Parameters
    ----------
    out : Path
        Folder of the evaluation; of what is there, troubles and structures that were left out
        are read.
    compared : Compared
        What was found.
    figures : iterable of Path
        What was drawn; PNG files are shown.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = out / PAGE
    chosen = [figure for figure in figures if figure.suffix == ".png"][:MAX_FIGURES]
    shown = {
        name: sheets.file_sheet(name, out / f"{name}.tsv") for name in ("troubles", "left_out")
    }
    write_text(path, render(compared, [_picture(one, compared) for one in chosen], shown))
    return path


def render(
    compared: Compared,
    pictures: Sequence[Picture] = (),
    files: dict[str, Sheet | None] | None = None,
) -> str:
    """Compose the page; whatever comes from the data is escaped."""
    script = _source("evaluation.js")
    metrics = list(load_metrics().values())
    drawn = {group: _of_group(pictures, group) for group in GROUPS_OF_FIGURES}
    return str(
        page_template("evaluation.html.j2", _source).render(
            version=__version__,
            policy=POLICY.format(script=_hash(script)),
            style=_source("evaluation.css"),
            script=script,
            cards=_cards(compared),
            notes=[*_notes(compared), *wording.about_data(compared)][:MAX_NOTES],
            files=files or {},
            overview=sheets.overview(compared),
            structures=[(metric, sheets.by_structure(compared, metric)) for metric in metrics],
            worst=worst.worst(compared),
            within=sheets.within(compared),
            people=worst.worst_participants(compared),
            sentences={
                "models": wording.about_models(compared),
                "agreement": wording.about_agreement(compared),
                "operators": wording.about_operators(compared),
                "groups": wording.about_groups(compared),
            },
            tests={
                f"{kind}_{'all' if overall else 'each'}": sheets.outcomes(
                    compared, kind, overall=overall
                )
                for kind in (MODELS, PAIR, OPERATORS, GROUPS)
                for overall in (True, False)
            },
            agreement=sheets.agreement(compared),
            pictures=drawn,
            references=references(),
            cite={row["key"]: at for at, row in enumerate(references(), 1)},
            limit=sheets.MAX_ROWS,
        )
    )


def references() -> list[dict[str, str]]:
    """Papers that the methods refer to, in the order of the list."""
    return read_data("statistics_references.tsv")


GROUPS_OF_FIGURES = {
    "structures": ("box_", "mean_", "radar_"),
    "groups": ("groups_",),
    "operators": ("operators_",),
    "agreement": ("blandaltman_",),
    "slices": ("slices_",),
    "confusion": ("confusion_",),
}


def _of_group(pictures: Sequence[Picture], group: str) -> list[Picture]:
    return [one for one in pictures if one.name.startswith(GROUPS_OF_FIGURES[group])]


def _picture(path: Path, compared: Compared) -> Picture:
    """A smaller copy of a figure, of few colours."""
    from PIL import Image

    name = path.stem.removeprefix(PREFIX)
    with Image.open(path) as image:
        small = image.convert("RGB")
    if small.width > WIDTH:
        size = WIDTH, round(small.height * WIDTH / small.width)
        small = small.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    few = small.quantize(COLORS, dither=Image.Dither.NONE)
    few.save(buffer, "PNG")
    title, caption = _told(name, compared)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(name, title, caption, data, *small.size)


def _told(name: str, compared: Compared) -> tuple[str, str]:
    """Title and caption of a figure."""
    for row in _captions():
        if name.startswith(row["prefix"]):
            rest = name.removeprefix(row["prefix"])
            metric = load_metrics().get(rest)
            title = metric.title if metric else ""
            if "model-" in rest:
                at = int(rest.rpartition("-")[2]) - 1
                title = compared.seen.models[at] if at < len(compared.seen.models) else ""
            return row["title"].format(of=title).rstrip(" :,"), row["caption"]
    return name, ""


@cache
def _captions() -> list[dict[str, str]]:
    return read_data("figure_captions.tsv")


def _cards(compared: Compared) -> list[tuple[str, str]]:
    seen = compared.seen
    several = len(seen.models) > 1
    return [
        ("models" if several else "model", str(len(seen.models))),
        ("participants", str(len(seen.participants))),
        ("images", str(seen.images)),
        ("structures", str(len(seen.structures))),
        ("compared values", str(int((seen.status != "").sum()))),
    ]


def _notes(compared: Compared) -> list[str]:
    seen = compared.seen
    if len(seen.models) > MAX_MODELS:
        return [f"Figures show the first {MAX_MODELS} of {len(seen.models)} models."]
    return []


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
