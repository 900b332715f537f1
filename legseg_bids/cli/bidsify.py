"""``legseg-bidsify``: from the scanner's files to the BIDS dataset that the application reads."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legseg_bids.dicom.convert import Converted
    from legseg_bids.dicom.found import Survey
    from legseg_bids.dicom.mapping import Row

MASKS = "masks"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    out = argparse.ArgumentParser(
        prog="legseg-bidsify",
        description="Turn a folder of DICOM files into a BIDS dataset that legseg reads. What "
        "cannot be decided is asked for in a table; fill it in and run the same command again.",
        epilog="legseg-bidsify masks --help: merge binary masks into one label image.",
    )
    out.add_argument("source", type=Path, help="folder with DICOM files, of any depth")
    out.add_argument("bids_dir", type=Path, help="BIDS dataset; made if need be")
    out.add_argument("--nifti", action="store_true", help="the source holds NIfTI files")
    out.add_argument("--mapping", type=Path, metavar="FILE", help="table of what becomes what")
    out.add_argument(
        "--draft",
        type=Path,
        metavar="FILE",
        help="where to write the table with questions (default: code/legseg-bidsify.tsv of the "
        "dataset, which is also read)",
    )
    out.add_argument("--participant", default="", metavar="LABEL", help="if there is only one")
    out.add_argument("--session", default="", metavar="LABEL", help="session of all images")
    out.add_argument("--keep", default="", metavar="sex,age", help="also write these of a person")
    out.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="write (and read) here which label stands for which PatientID; not in the dataset",
    )
    out.add_argument(
        "--report", type=Path, metavar="FILE", help="write here what was found and done"
    )
    out.add_argument(
        "--dry-run", action="store_true", help="say what would be done, write nothing"
    )
    return out


def masks_parser() -> argparse.ArgumentParser:
    """Options of ``legseg-bidsify masks``."""
    out = argparse.ArgumentParser(
        prog="legseg-bidsify masks",
        description="Merge binary masks, one for each structure, into one label image of a BIDS "
        "derivative, for legseg-train own and legseg-evaluate.",
    )
    out.add_argument("masks", type=Path, nargs="+", help="NIfTI masks, or folders of them")
    out.add_argument(
        "--image", type=Path, required=True, help="image of the dataset they belong to"
    )
    out.add_argument(
        "--into", type=Path, help="derivative (default: derivatives/manual of the dataset)"
    )
    out.add_argument(
        "--table", type=Path, help="table with the columns file and name, for other names"
    )
    out.add_argument(
        "--side",
        choices=("left", "right", "both"),
        help="of masks whose names tell none; both: they are split between the legs",
    )
    out.add_argument("--overwrite", action="store_true", help="replace a label image")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``legseg-bidsify``."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    from legseg_bids.errors import ExitCode, LegsegError

    try:
        if words[:1] == [MASKS]:
            return _masks(masks_parser().parse_args(words[1:]))
        options = parser().parse_args(words)
        with _heeding_termination():
            return _bidsify(options)
    except LegsegError as error:
        _say(str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted; images that are finished are kept; run again to go on")
        return int(ExitCode.INTERRUPTED)


@contextmanager
def _heeding_termination() -> Iterator[None]:
    """Told to stop, clear up what lies in the temporary folder, and end with the usual code."""
    from legseg_bids.errors import ExitCode

    def stop(*_: object) -> None:
        sys.exit(int(ExitCode.TERMINATED))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    print(f"legseg-bidsify: {text}", file=sys.stderr)


def _bidsify(options: argparse.Namespace) -> int:
    from legseg_bids.dicom.dataset import checked_keep
    from legseg_bids.dicom.mapping import undecided
    from legseg_bids.errors import ExitCode

    keep = checked_keep(options.keep)
    _check_paths(options)
    survey = _survey(options)
    rows = _rows(options, survey)
    questions = undecided(rows)
    converted = None
    if questions:
        code = _ask(options, rows, questions)
    elif options.dry_run:
        code = _plan(options, survey, rows)
    else:
        from legseg_bids.dicom.convert import convert

        converted = convert(survey, rows, options.bids_dir, keep=keep, progress=_progress)
        _write_key(options, survey, converted.rows)
        code = _conclude(options, converted)
    _report(options, survey, converted.rows if converted else rows, converted)
    return int(code or ExitCode.OK)


def _progress(number: int, total: int, name: str) -> None:
    print(f"[{number}/{total}] {name}", flush=True)


def _check_paths(options: argparse.Namespace) -> None:
    from legseg_bids.errors import UsageError

    if options.key and options.key.resolve().is_relative_to(options.bids_dir.resolve()):
        raise UsageError(
            f"--key {options.key} lies within the dataset; expected a place outside of it, since "
            "it tells who is who; choose another folder"
        )
    if options.nifti and options.bids_dir.resolve().is_relative_to(options.source.resolve()):
        raise UsageError(
            f"the dataset {options.bids_dir} lies within the source; expected a place outside of "
            "it, since its images would be found again; choose another folder"
        )
    for what in ("participant", "session"):
        label = getattr(options, what).removeprefix("sub-").removeprefix("ses-")
        if label and not (label.isascii() and label.isalnum()):
            raise UsageError(f"--{what} is {label!r}; expected letters and digits only")
        setattr(options, what, label)


def _survey(options: argparse.Namespace) -> Survey:
    from legseg_bids.dicom.nifti import survey_nifti
    from legseg_bids.dicom.survey import survey

    def progress(number: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{number} of {total} files read", end="", file=sys.stderr, flush=True)

    found = (survey_nifti if options.nifti else survey)(options.source, progress)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for problem in found.problems:
        _say(problem)
    return found


def _rows(options: argparse.Namespace, survey: Survey) -> tuple[Row, ...]:
    """The mapping of the survey: what stands in the files, and what is proposed."""
    from legseg_bids.dicom.convert import read_record
    from legseg_bids.dicom.dataset import taken_labels
    from legseg_bids.dicom.mapping import draft, joined, read_mapping
    from legseg_bids.dicom.people import Asked, Known, read_key

    earlier = read_record(options.bids_dir)
    if options.draft and options.draft.exists():
        earlier = joined(read_mapping(options.draft), earlier)
    told = joined(read_mapping(options.mapping), earlier) if options.mapping else earlier
    people = Known(taken_labels(options.bids_dir), read_key(options.key) if options.key else {})
    return draft(survey, told, Asked(options.participant, options.session), people)


def _ask(options: argparse.Namespace, rows: Sequence[Row], questions: Sequence[Row]) -> int:
    """Write the draft, and say what must be answered."""
    from legseg_bids.dicom.convert import read_record
    from legseg_bids.dicom.dataset import RECORD
    from legseg_bids.dicom.mapping import joined, write_mapping
    from legseg_bids.errors import Undecided

    path = options.draft or options.bids_dir / RECORD
    for row in questions:
        print(f"? {row.id} ({row.description}): {row.question or 'an answer is missing'}")
    if options.dry_run:
        where = "nothing was written (--dry-run)"
    else:
        write_mapping(path, joined(rows, read_record(options.bids_dir)))
        where = f"they are marked by ? in {path}"
    again = f" --mapping {path}" if options.draft else ""
    raise_code = Undecided.exit_code
    _say(
        f"{len(questions)} of {len(rows)} images cannot be decided from the headers; expected an "
        f"answer for each; {where}: fill them in and run the same command again{again}"
    )
    return int(raise_code)


def _plan(options: argparse.Namespace, survey: Survey, rows: Sequence[Row]) -> int:
    from legseg_bids.dicom.convert import read_record
    from legseg_bids.dicom.plan import plan

    planned = plan(survey, rows, read_record(options.bids_dir))
    for item in planned:
        print(f"{item.row.id} ({item.row.description}): {item.target}")
    named = {item.row.id for item in planned}
    for row in rows:
        if row.id not in named:
            print(f"{row.id} ({row.description}): {row.question or 'left out'}")
    return 0


def _conclude(options: argparse.Namespace, converted: Converted) -> int:
    """Say what became of the images; give the exit code."""
    from legseg_bids.errors import ExitCode

    for problem in converted.problems:
        _say(problem)
    out = [row for row in converted.rows if not row.wanted]
    print(
        f"{len(converted.written)} images written, {len(converted.kept)} were there, "
        f"{len(out)} left out, {len(converted.problems)} problems; "
        f"see {options.bids_dir / 'code' / 'legseg-bidsify.tsv'}"
    )
    if not converted.written and not converted.kept and not converted.problems:
        _say(f"nothing in {options.source} is an image that legseg could use; the table says why")
        return int(ExitCode.NO_INPUT)
    return int(ExitCode.FAILED if converted.problems else ExitCode.OK)


def _write_key(options: argparse.Namespace, survey: Survey, rows: Sequence[Row]) -> None:
    from legseg_bids.dicom.people import read_key, write_key

    if not options.key:
        return
    labels = {row.id: row.participant for row in rows if row.wanted}
    found = {i.facts.patient: labels[i.id] for i in survey.images if i.id in labels}
    write_key(options.key, {**read_key(options.key), **found})


def _report(
    options: argparse.Namespace, survey: Survey, rows: Sequence[Row], converted: Converted | None
) -> None:
    from legseg_bids.bids.write import write_text

    if not options.report:
        return
    series = [
        {
            "id": row.id,
            "description": row.description,
            "vendor": row.vendor,
            "role": row.role,
            "guess": row.guess,
            "participant": row.participant,
            "session": row.session,
            "station": row.station,
            "decided": row.decided,
            "question": row.question or None,
            "images": row.images,
        }
        for row in rows
    ]
    content = {
        "series": series,
        "written": list(converted.written) if converted else [],
        "kept": list(converted.kept) if converted else [],
        "problems": list(converted.problems if converted else survey.problems),
    }
    write_text(options.report, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _masks(options: argparse.Namespace) -> int:
    from legseg_bids.dicom.masks import Request, merge

    merged = merge(
        Request(
            masks=tuple(options.masks),
            image=options.image,
            into=options.into,
            table=options.table,
            side=options.side or "",
            overwrite=options.overwrite,
        )
    )
    for name, other, voxels in merged.overlaps:
        print(f"{voxels} voxels lie in {name} and in {other}; they went to {name}, the smaller")
    print(f"wrote {merged.labels}: {len(merged.structures)} structures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
