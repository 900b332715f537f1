"""A network, the people to try it on, and the rows of each trial."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import legseg_bids
from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.stored import WAYS, as_file, from_file
from legseg_bids.errors import LegsegError
from legseg_bids.evaluate.answers import Hit, answer, hits
from legseg_bids.evaluate.trials import FIRST_SEED, Trial, simulate_trial
from legseg_bids.segment.engines import Engine, load_engine
from legseg_bids.segment.merge import Labels
from legseg_bids.segment.models import Model, find_models_dir, load_model
from legseg_bids.synth.atlas import Anatomy
from legseg_bids.synth.draws import Draw
from legseg_bids.train.recipe import Recipe, load_recipe
from legseg_bids.train.subjects import anatomies_of

Row = dict[str, Any]
#: Folders of the package that trials and labels come from.
ROOMS = ("synth", "imaging", "segment")
#: Width of the images of a region, where it is not that of the setting, mm.
WIDTHS = {"hip": 300.0}


@dataclass(frozen=True)
class Source:
    """Where a bench finds what it needs; goes to other processes.

    Attributes
    ----------
    network : str
        Name of the bundle and of the recipe.
    atlas, cache : Path
        Label maps, and what was prepared of them.
    models : Path or None
        Folder of the bundles.
    """

    network: str
    atlas: Path
    cache: Path
    models: Path | None = None

    def model(self) -> Model:
        """The bundle.

        Raises
        ------
        ModelError
            If it is missing or damaged.
        """
        return load_model(find_models_dir(self.models), self.network)


def code_digest() -> str:
    """Check sum of the code that makes trials, labels and judges them."""
    package = Path(legseg_bids.__file__).parent
    files = [
        *(
            path
            for room in ("synth", "imaging", "segment")
            for path in package.glob(f"{room}/*.py")
        ),
        *(package / "evaluate" / f"{name}.py" for name in ("trials", "answers", "overlap")),
        *(Path(__file__).with_name(f"{name}.py") for name in ("bench", "stored")),
    ]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Bench:
    """A network and the people to try it on."""

    def __init__(self, region: str, people: list[Anatomy], model: Model, engine: Engine) -> None:
        self.region, self.people, self.model, self.engine = region, people, model, engine

    @classmethod
    def load(cls, source: Source) -> Bench:
        """Read maps and network; one thread."""
        recipe = load_recipe(source.network)
        model = source.model()
        people = _people(recipe, source.atlas, source.cache)
        return cls(recipe.region, people, model, load_engine(model, device="cpu", threads=1))

    def trial(self, case: Case, number: int) -> Trial:
        """Person ``number`` in a case; the same person in every case."""
        draw = Draw(FIRST_SEED + number)
        anatomy = self.people[draw.integer(0, len(self.people))]
        side = ("left", "right")[draw.integer(0, 2)]
        seed = FIRST_SEED + 1000 + number
        width = WIDTHS.get(self.region, case.setting.width)
        setting = replace(case.setting, width=width)
        return simulate_trial(anatomy, side, self.region, setting, seed, case.ranges)

    def labels(self, trial: Trial, fed: str = "opposed", also: str | None = None) -> Labels:
        """What the network makes of a trial, canonical axes; nothing where it gives up."""
        try:
            return answer(trial, self.model, self.engine, fed, also)[1]
        except LegsegError as error:
            # An image that is refused is a failure to be counted, not one to be left out.
            print(f"refused: {error}", file=sys.stderr)
            shape = trial.labels.shape
            return Labels(np.zeros(shape, np.uint8), np.zeros(shape, np.float32))

    def judged(self, trial: Trial, labels: Labels) -> list[Hit]:
        """How right that is, muscle by muscle."""
        return hits(trial, labels, self.model.segmentation.labels)

    def rows(self, case: Case, number: int, also: str | None = None) -> list[Row]:
        """One row for each muscle of one person in one case."""
        trial = self.trial(case, number)
        facts = {"fat": trial.fat_fraction}
        if case.stored:
            labels, differing = self.from_a_file(trial, case.stored)
            facts["differing"] = differing
        else:
            labels = self.labels(trial, also=also)
        return [facts | vars(hit) for hit in self.judged(trial, labels)]

    def from_a_file(self, trial: Trial, way: str) -> tuple[Labels, int]:
        """Labels in the trial's axes, and how many are not those of the image as it is.

        The network is fed opposed phase alone, which is all that such a file holds.
        """
        stored = as_file(trial, WAYS[way])
        found = from_file(self.labels(stored), stored.water, WAYS[way])
        plain = self.labels(trial)
        return found, int((found.labels != plain.labels).sum())


def _people(recipe: Recipe, atlas: Path, cache: Path) -> list[Anatomy]:
    """The anatomies of a recipe with the shapes of people; of those held out, where some are."""
    maps = anatomies_of(recipe, atlas, cache, lambda _: None)
    if not recipe.held_out:
        return maps
    return [one.of_people(recipe.held_out, only=True) for one in maps]
