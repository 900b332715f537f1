"""What all parts of a run share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from legseg_bids.bids.names import log_dir
from legseg_bids.bids.runlog import run_id
from legseg_bids.bids.sets import StationSet
from legseg_bids.settings import Settings
from legseg_bids.workflows.board import Board
from legseg_bids.workflows.ledger import Ledger
from legseg_bids.workflows.outcomes import Outcome
from legseg_bids.workflows.progress import Say, Tell
from legseg_bids.workflows.station import Networks


@dataclass(frozen=True)
class Run:
    """What all parts of a run share.

    Attributes
    ----------
    settings : Settings
        What to do.
    networks : Networks
        With what.
    work_dir : Path
        Where intermediate files go.
    say : callable
        Takes one line that everybody should read.
    verbosity : int
        How often ``-v`` was given.
    parallel : bool
        Whether one graph holds everything.
    id : str
        Identifier of the run.
    step : callable or None
        Takes one line about a step of an image, which a display may show in another way; by
        default as `say`.
    listener : callable or None
        Takes what became of an image as soon as it is known.
    board : Board
        What the run is at, for a display.
    outcomes : list of Outcome
        What was told so far.
    """

    settings: Settings
    networks: Networks
    work_dir: Path
    say: Say
    verbosity: int = 0
    parallel: bool = False
    id: str = field(default_factory=run_id)
    step: Say | None = None
    listener: Tell | None = None
    board: Board = field(default_factory=Board)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def keeps_work(self) -> bool:
        """Whether intermediate files stay for the next run."""
        return self.settings.work_dir is not None and not self.settings.clean_workdir

    @property
    def monitor(self) -> Path | None:
        """Table of what each step costs, if one is wanted."""
        table = self.settings.output_dir / "logs" / f"{self.id}_resources.tsv"
        return table if self.settings.resource_monitor else None

    def tell(self, outcome: Outcome) -> None:
        """Tell what became of an image, and keep it in mind."""
        self.outcomes.append(outcome)
        self.board.count(outcome)
        if self.listener is not None:
            self.listener(outcome)

    def ledger(self, sets: Iterable[StationSet]) -> Ledger:
        """What is done at this moment."""
        return Ledger(self.settings, self.networks.config_hash, sets)

    def log_dir(self, subject: str) -> Path:
        """Where crash files of a participant go."""
        return log_dir(self.settings.output_dir, subject)
