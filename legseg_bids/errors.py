"""The package's own exceptions.

Each message says what was found (naming the file), what was expected, and what to do
next. Each class carries the exit code of the command line.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How the command line ends; ``cli/data/exit_codes.tsv`` says what each means.

    Numbers of the BIDS execution specification (draft 0.1.0, "Exit codes"), of ``sysexits.h``
    (65, 66, 73, 75), and of every shell for a process that was told to stop (128 + signal).
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID = 16
    UNKNOWN_LEVEL = 17
    NO_MATCH = 18
    UNDECIDED = 65
    NO_INPUT = 66
    NO_OUTPUT = 73
    BUSY = 75
    INTERRUPTED = 130
    TERMINATED = 143


class LegsegError(Exception):
    """Base class: anything that legseg-bids can explain to the person who ran it.

    Examples
    --------
    >>> NoInput("no opposed-phase image in ds; expected one; add it").exit_code
    <ExitCode.NO_INPUT: 66>
    """

    exit_code: ExitCode = ExitCode.FAILED


class UsageError(LegsegError):
    """The command line asks for something impossible."""

    exit_code = ExitCode.USAGE


class UnknownLevel(LegsegError):
    """The analysis level is neither ``participant`` nor ``group``."""

    exit_code = ExitCode.UNKNOWN_LEVEL


class ValidationError(LegsegError):
    """The input is not a valid BIDS dataset."""

    exit_code = ExitCode.INVALID


class NoFilterMatch(LegsegError):
    """Participant or session labels select nothing."""

    exit_code = ExitCode.NO_MATCH


class Undecided(LegsegError):
    """Something must be answered first; the message says in which file."""

    exit_code = ExitCode.UNDECIDED


class NoInput(LegsegError):
    """The dataset holds no image that can be segmented."""

    exit_code = ExitCode.NO_INPUT


class OutputError(LegsegError):
    """The output cannot be written."""

    exit_code = ExitCode.NO_OUTPUT


class Busy(LegsegError):
    """Another run is at work on the participant."""

    exit_code = ExitCode.BUSY


class ImageError(LegsegError):
    """One image cannot be used; the others can."""


class ModelError(LegsegError):
    """A model file is missing, damaged, or does not fit."""
