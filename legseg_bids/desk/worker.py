"""``python -m legseg_bids.desk.worker``: what needs large packages, in a process of its own.

The answer is the last line of the standard output, as JSON; where something is wrong, it holds
``error``, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legseg_bids.errors import ExitCode, LegsegError

if TYPE_CHECKING:
    from legseg_bids.bids.stations import Discovery, Station
    from legseg_bids.workflows.correcting import Correction


def main(words: Sequence[str] | None = None) -> int:
    """Do one thing, and print the answer."""
    parser = argparse.ArgumentParser(prog="legseg_bids.desk.worker")
    tasks = parser.add_subparsers(dest="task", required=True)
    task = tasks.add_parser("look", help="which stations a dataset has")
    task.add_argument("bids", type=Path)
    task = tasks.add_parser("pictures", help="the images below labels, on the grid of these")
    task.add_argument("output", type=Path)
    task.add_argument("bids", type=Path)
    task.add_argument("cache", type=Path)
    task.add_argument("--only", metavar="RESULT", help="of one result; by default of all")
    task = tasks.add_parser("correct", help="take a corrected label image as the result")
    task.add_argument("output", type=Path)
    task.add_argument("edited", type=Path)
    task.add_argument("--of", required=True)
    task.add_argument("--author", default="")
    task.add_argument("--note", default="")
    task.add_argument("--bids", type=Path)
    task = tasks.add_parser("undo", help="remove a correction")
    task.add_argument("output", type=Path)
    task.add_argument("--of", required=True)
    task.add_argument("--bids", type=Path)
    options = parser.parse_args(words)
    todo = {"look": _look, "pictures": _pictures, "correct": _correct, "undo": _undo}
    try:
        answer, code = todo[options.task](options), ExitCode.OK
    except LegsegError as error:
        answer, code = {"error": str(error)}, error.exit_code
    except (OSError, MemoryError) as error:
        answer, code = {"error": f"{error or 'there is not enough memory'}"}, ExitCode.FAILED
    print(json.dumps(answer), flush=True)
    return int(code)


def found_in(discovery: Discovery) -> dict[str, Any]:
    """Participants, stations and problems, for the page.

    Examples
    --------
    >>> from legseg_bids.bids.stations import Discovery
    >>> found_in(Discovery(()))
    {'participants': 0, 'stations': [], 'problems': []}
    """
    return {
        "participants": len({station.subject for station in discovery.stations}),
        "stations": [_station(station) for station in discovery.stations],
        "problems": [str(skipped) for skipped in discovery.skipped],
    }


def _look(options: argparse.Namespace) -> dict[str, Any]:
    from legseg_bids.bids.discover import discover, index
    from legseg_bids.imaging.dixon import choose_in_phase_echoes, choose_opposed_echo

    dataset = index(options.bids)
    return found_in(discover(dataset, choose_opposed_echo, None, choose_in_phase_echoes))


def _pictures(options: argparse.Namespace) -> dict[str, Any]:
    from legseg_bids.desk.results import all_results, find_result
    from legseg_bids.desk.viewing import write_picture

    output, bids = options.output, options.bids
    chosen = [find_result(output, options.only)] if options.only else all_results(output)
    problems = {one.id: write_picture(one, bids, options.cache) for one in chosen}
    return {"problems": problems}


def _correct(options: argparse.Namespace) -> dict[str, Any]:
    from legseg_bids.workflows.correcting import correct

    return _told(
        correct(
            options.output,
            options.edited,
            of=options.of,
            author=options.author,
            note=options.note,
            bids_dir=options.bids,
        )
    )


def _undo(options: argparse.Namespace) -> dict[str, Any]:
    from legseg_bids.workflows.correcting import undo

    return _told(undo(options.output, options.of, bids_dir=options.bids))


def _told(made: Correction) -> dict[str, Any]:
    changed = {key: [float(before), float(after)] for key, (before, after) in made.changed.items()}
    return {
        "changed_voxels": int(made.changed_voxels),
        "changed": changed,
        "warnings": list(made.warnings),
    }


def _station(station: Station) -> dict[str, Any]:
    return {
        "participant": station.subject,
        "session": station.session,
        "station": station.stem,
        "images": [
            {"role": role, "name": path.name} for role, path in sorted(station.files.items())
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
