"""Steps that hand a problem on instead of stopping the stations beside them.

The stations of a set are located together, so a graph in which the first step of one of them
fails would never reach the others. Therefore the first steps write down what went wrong, the
station's own next step raises it (nipype then reports this station, and no other), and its
neighbours go on without it.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from legseg_bids import errors
from legseg_bids.bids.stations import Station
from legseg_bids.interfaces.exchange import save_prepared
from legseg_bids.interfaces.prepare import prepare

PROBLEM = "problem.json"


@dataclass(frozen=True)
class Problem:
    """What went wrong in a step.

    Attributes
    ----------
    kind, message : str
        Class and text of the exception.
    story : str
        The traceback, for the crash file.
    """

    kind: str
    message: str
    story: str

    @property
    def lasts(self) -> bool:
        """Whether the image itself is the problem, so that another try would end alike."""
        return self.kind == errors.ImageError.__name__

    def exception(self) -> Exception:
        """The exception again; where it came from is told in a note."""
        kind: Any = getattr(errors, self.kind, None) or getattr(builtins, self.kind, None)
        try:
            error: Exception = kind(self.message)
        except TypeError:
            error = RuntimeError(f"{self.kind}: {self.message}")
        error.add_note(self.story)
        return error


def tolerate(step: Callable[[], Path], folder: Path) -> Path:
    """Run a step; where it fails, write a problem file into its folder instead.

    Returns
    -------
    Path
        What the step returns, or the problem file.
    """
    try:
        (folder / PROBLEM).unlink(missing_ok=True)
        return step()
    except Exception as error:  # noqa: BLE001 - raised again by the station's own next step
        story = "".join(format_exception(error)).rstrip()
        problem = Problem(type(error).__name__, str(error), story)
        path = folder / PROBLEM
        path.write_text(json.dumps(asdict(problem)), encoding="utf-8")
        return path


def read_problem(path: Path) -> Problem | None:
    """The problem that a step handed on, or None if the file is a result."""
    if path.name != PROBLEM:
        return None
    return Problem(**json.loads(path.read_text(encoding="utf-8")))


class _InputSpec(BaseInterfaceInputSpec):
    station = traits.Dict(mandatory=True, desc="the station, as plain values")


class _OutputSpec(TraitedSpec):
    prepared = File(exists=True, desc="volume, masks and more; or what went wrong")


class TryToPrepare(SimpleInterface):
    """Read a station and make it ready, see :func:`legseg_bids.interfaces.prepare.prepare`."""

    input_spec = _InputSpec
    output_spec = _OutputSpec

    def _run_interface(self, runtime):  # type: ignore[no-untyped-def]
        folder = Path(runtime.cwd)

        def step() -> Path:
            station = Station.from_dict(self.inputs.station)
            return save_prepared(folder / "prepared.npz", prepare(station))

        self._results["prepared"] = str(tolerate(step, folder))
        return runtime
