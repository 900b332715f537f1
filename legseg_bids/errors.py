"""The package's own exceptions.

Each message says what was found (naming the file), what was expected, and what to do
next. Each class carries the exit code of the command line (BIDS execution specification,
draft 0.1.0, "Exit codes").
"""

from __future__ import annotations


class LegsegError(Exception):
    """Base class: anything that legseg-bids can explain to the person who ran it.

    Examples
    --------
    >>> NoInput("no opposed-phase image in ds; expected one; add it").exit_code
    66
    """

    exit_code = 1


class UsageError(LegsegError):
    """The command line asks for something impossible."""

    exit_code = 2


class ValidationError(LegsegError):
    """The input is not a valid BIDS dataset."""

    exit_code = 16


class NoFilterMatch(LegsegError):
    """Participant or session labels select nothing."""

    exit_code = 18


class NoInput(LegsegError):
    """The dataset holds no image that can be segmented."""

    exit_code = 66


class OutputError(LegsegError):
    """The output cannot be written."""

    exit_code = 73


class ImageError(LegsegError):
    """One image cannot be used; the others can."""


class ModelError(LegsegError):
    """A model file is missing, damaged, or does not fit."""
