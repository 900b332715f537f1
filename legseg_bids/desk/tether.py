"""``python -m legseg_bids.desk.tether PARENT COMMAND…``: a command that ends with its parent.

The desk may be killed. What it has started is then told to stop by the system (prctl(2),
``PR_SET_PDEATHSIG``) by SIGTERM: finished images are kept, and no run
goes on that nobody knows of. The command also makes room for others (nice).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""
NICER = 5


def main(words: Sequence[str]) -> int:
    """Become the command.

    Parameters
    ----------
    words : sequence of str
        Number of the parent's process; the command and its arguments.
    """
    parent, *command = words
    _end_with_parent()
    if os.getppid() != int(parent):
        # It ended before the system knew that we care.
        return 128 + signal.SIGTERM
    os.nice(NICER)
    # A shell may have shut these off for all that it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    return os.execv(command[0], command)


def _end_with_parent() -> None:
    """Ask the system for a signal when the parent ends; elsewhere than on Linux there is none."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
