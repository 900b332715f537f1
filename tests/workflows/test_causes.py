from __future__ import annotations

import errno
import os

import pytest

from legseg_bids.errors import ImageError, OutputError
from legseg_bids.workflows.causes import (
    LONGEST,
    crash_reason,
    explain,
    explain_error,
    load_causes,
)

CRASH = """\
Node: legseg_wf.sub_01_wf.prepare
Working directory: /w/prepare

Node inputs:
in_files = ['a.nii.gz']
Traceback (most recent call last):
  File "linear.py", line 47, in run
    node.run(updatehash=updatehash)
nipype.pipeline.engine.nodes.NodeExecutionError: Exception raised while executing Node prepare.

Traceback:
\tTraceback (most recent call last):
\t  File "core.py", line 401, in run
\t    outputs = self.aggregate_outputs(runtime)
\t{}

"""

#: What is raised → a word of the cause and a word of the hint.
RIDDLES = {
    "concurrent.futures.process.BrokenProcessPool: A process was": ("killed", "--nprocs"),
    "MemoryError": ("memory", "--mem"),
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB": ("memory", "--mem"),
    "RuntimeError: std::bad_alloc": ("memory", "--mem"),
    "OSError: [Errno 12] Cannot allocate memory": ("memory", "--mem"),
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried": ("GPU", "--device cpu"),
    "RuntimeError: CUDA error: device-side assert": ("GPU cannot", "nvidia-smi"),
    "OSError: [Errno 28] No space left on device": ("disk is full", "make room"),
    "OSError: [Errno 122] Disk quota exceeded": ("quota", "ask for more"),
    "OSError: [Errno 30] Read-only file system: '/o'": ("read-only", "writable"),
    "PermissionError: [Errno 13] Permission denied: '/o'": ("permission", "owner"),
    "OSError: [Errno 116] Stale file handle": ("network file system", "mount it again"),
    "OSError: [Errno 107] Transport endpoint is not connected": ("went away", "mount it again"),
    "OSError: [Errno 5] Input/output error": ("does not answer", "check the disk"),
    "OSError: [Errno 24] Too many open files": ("open", "ulimit -n"),
    "RuntimeError: can't start new thread": ("threads", "ulimit -u"),
    "OSError: [Errno 36] File name too long": ("longer", "shorter"),
    "EOFError: Compressed file ended before the end": ("damaged", "copy"),
    "zlib.error: Error -3 while decompressing data": ("damaged", "copy"),
    "gzip.BadGzipFile: CRC check failed": ("damaged", "gzip -t"),
    "zipfile.BadZipFile: File is not a zip file": ("intermediate", "remove the work folder"),
    "FileNotFoundError: [Errno 2] No such file or directory: 'a'": ("vanished", "run again"),
    "NotADirectoryError: [Errno 20] Not a directory: 'a'": ("folder is needed", "remove"),
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "legseg_bids.errors.ImageError: a.nii.gz is empty; get it again",
            "a.nii.gz is empty; get it again",
        ),
        ("ValueError: x: y", "ValueError: x: y"),
        ("numpy.exceptions.AxisError: axis 3", "AxisError: axis 3"),
        ("KeyError", "KeyError"),
    ],
)
def test_reason_of_a_crash(line: str, expected: str) -> None:
    assert crash_reason(CRASH.format(line)) == expected


@pytest.mark.parametrize("line", RIDDLES)
def test_riddles_are_explained_in_one_line_that_keeps_the_words_of_the_system(line: str) -> None:
    cause, hint = RIDDLES[line]
    reason = crash_reason(CRASH.format(line))
    before, _, after = reason.rpartition("; ")
    assert cause in before
    assert hint in after
    assert line.rpartition(".")[2].partition(":")[0] in before or "Errno" in before
    assert "\n" not in reason


def test_every_row_of_the_table_explains_something() -> None:
    said = {crash_reason(line) for line in RIDDLES}
    untold = {row.cause for row in load_causes() if not any(row.cause in line for line in said)}
    assert untold == {"a file grew beyond what the file system or a limit allows"}
    assert explain("OSError", "[Errno 27] File too large").startswith("a file grew")


def test_errors_of_this_machine_are_known_by_their_number() -> None:
    """The text of an error may be in another language, its number is not."""
    for number in (errno.ENOSPC, errno.ESTALE, errno.EROFS, errno.EMFILE, errno.EDQUOT):
        assert explain("OSError", f"[Errno {number}] ???").count("; ") == 1


def test_our_own_errors_get_the_hint_if_the_system_was_the_reason() -> None:
    full = os.strerror(errno.ENOSPC)
    said = explain_error(OutputError(f"/o/x.json cannot be written ({full}); expected room"))
    assert said.startswith("the disk is full (/o/x.json cannot be written (")
    own = "a.nii.gz is truncated (No space left in this name); copy it again"
    assert explain_error(ImageError(own)) == own


def test_the_name_of_a_file_does_not_decide_why_it_failed() -> None:
    text = CRASH.format("legseg_bids.errors.ImageError: MemoryError_Errno 28.nii.gz is empty")
    text = text.replace("a.nii.gz", "No space left on device BrokenProcessPool")
    assert crash_reason(text) == "MemoryError_Errno 28.nii.gz is empty"


def test_crash_without_exception_still_has_a_reason() -> None:
    assert crash_reason("") == "stopped without a reason"


def test_long_messages_are_cut() -> None:
    assert len(explain("ValueError", "x" * 10_000)) < LONGEST + 10
