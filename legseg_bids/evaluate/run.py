"""A whole evaluation: from folders to tables, in parallel, and again from where it stopped."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from legseg_bids.bids.names import printable
from legseg_bids.bids.write import cannot_write
from legseg_bids.errors import LegsegError, OutputError, UsageError
from legseg_bids.evaluate.cases import evaluate_case
from legseg_bids.evaluate.pairs import Case, Pairs, Trouble
from legseg_bids.evaluate.parts import FOLDER, sweep
from legseg_bids.evaluate.plan import Job, Plan, check_schemes, find_pairs, jobs_of
from legseg_bids.evaluate.results import Evaluated, write_results
from legseg_bids.evaluate.workers import Died, each

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """How a job ended.

    Attributes
    ----------
    problem : str
        Empty if all went well.
    fatal : bool
        Whether no other job can end better: nothing can be written.
    dice : float
        Mean over the structures.
    structures : int
    """

    problem: str = ""
    fatal: bool = False
    dice: float = float("nan")
    structures: int = 0


def evaluate(plan: Plan, tell: Tell, pairs: Mapping[str, Pairs] | None = None) -> Evaluated:
    """Measure every case, and write the tables.

    Parameters
    ----------
    plan : Plan
    tell : callable
        Takes lines for a person.
    pairs : mapping of str to Pairs, optional
        From :func:`.plan.find_pairs`, if they are known already.

    Raises
    ------
    LegsegError
        If nothing can be evaluated, or nothing can be written. Single cases raise nothing: they
        are in ``troubles.tsv``.
    """
    check_schemes(plan)
    pairs = find_pairs(plan) if pairs is None else pairs
    prepare(plan)
    jobs = jobs_of(plan, pairs)
    troubles = [trouble for p in pairs.values() for trouble in (*p.troubles, *p.missing)]
    for name, p in pairs.items():
        unused = f"; {len(p.unused)} prediction(s) without a reference" if p.unused else ""
        tell(f"{name}: {len(p.cases)} case(s){unused}")
    for trouble in troubles:
        tell(f"{trouble.kind}: {trouble.key['model']}: {trouble.problem}")
    todo = [job for job in jobs if job.part.read() is None]
    if len(todo) < len(jobs):
        tell(f"{len(jobs) - len(todo)} of {len(jobs)} cases were evaluated before")
    failed = _work(todo, plan.workers, tell)
    return write_results(plan, jobs, [*troubles, *failed], len(todo) - len(failed))


def prepare(plan: Plan) -> None:
    """Make the folder, and make sure that it can be written and is not among the input.

    Raises
    ------
    UsageError, OutputError
    """
    out = plan.out.resolve()
    for folder in (plan.reference, *plan.predictions):
        if out.is_relative_to(folder.path.resolve()):
            raise UsageError(
                f"the output {plan.out} is or lies in {folder.path}, which is input; expected "
                "another folder; choose one with --out"
            )
    try:
        (plan.out / FOLDER).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=plan.out):
            pass
    except OSError as error:
        raise cannot_write(plan.out, error) from error
    sweep(plan.out)


def _work(todo: Sequence[Job], workers: int, tell: Tell) -> list[Trouble]:
    """Do all jobs; troubles of those that failed."""
    begun = time.monotonic()
    troubles: list[Trouble] = []
    ended = each(todo, perform, min(workers, len(todo)))
    for number, (job, done) in enumerate(ended, start=1):
        if isinstance(done, Died):
            done = Done(_killed(done))
        if done.fatal:
            raise OutputError(done.problem)
        if done.problem:
            troubles.append(Trouble(job.case.key, "error", done.problem))
        left = (time.monotonic() - begun) / number * (len(todo) - number)
        tell(f"[{number}/{len(todo)}] {_said(job.case, done)}{_time_left(left)}")
    return troubles


def _killed(died: Died) -> str:
    return (
        f"{died}, twice; expected enough memory for one case in each process; give more memory, "
        "or fewer processes with --workers"
    )


def _said(case: Case, done: Done) -> str:
    name = f"{case.model}: {case.reference.name}"
    if done.problem:
        return f"error: {name}: {done.problem}"
    return f"{name}: mean Dice {done.dice:.3f} over {done.structures} structures"


def _time_left(seconds: float) -> str:
    """Nothing for less than a minute.

    Examples
    --------
    >>> _time_left(3), _time_left(170), _time_left(9000)
    ('', '; about 3 min left', '; about 2.5 h left')
    """
    if seconds < 60:
        return ""
    minutes = seconds / 60
    return (
        f"; about {minutes:.0f} min left" if minutes < 90 else f"; about {minutes / 60:.1f} h left"
    )


def perform(job: Job) -> Done:
    """Measure a case and keep the result; whatever is wrong is told, not raised.

    Runs in a process of its own.
    """
    try:
        stamps = job.part.stamps()
        result = evaluate_case(job.case, job.reference, job.prediction, job.options)
        job.part.write(asdict(result), stamps)
    except OutputError as error:
        return Done(str(error), fatal=True)
    except LegsegError as error:
        return Done(printable(str(error)))
    except MemoryError:
        return Done("it needs more memory than there is; give fewer processes with --workers")
    except OSError as error:
        return Done(f"{error.filename} cannot be read ({error.strerror}); check the file")
    except Exception as error:  # noqa: BLE001 - a mistake of ours must not stop the others
        told = f"{type(error).__name__}: {error}"
        return Done(f"it cannot be evaluated ({printable(told)}); please report this")
    there = sum(row["status"] != "both_empty" for row in result.rows)
    return Done(dice=result.mean_dice, structures=there)
