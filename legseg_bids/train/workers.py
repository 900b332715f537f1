"""Processes that make batches ahead of a training, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing import connection

import torch


def begin(worker: int) -> None:  # noqa: ARG001
    """One thread to compute with, and one that waits for the end of the training.

    Parameters
    ----------
    worker : int
        Number of the process; for a loader's ``worker_init_fn``.
    """
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_the_training, daemon=True).start()


def _end_with_the_training() -> None:
    """End this process as soon as the one that started it is gone, however it ended.

    A loader's processes look whether their parent is still there, but that is the server that
    forked them, which itself stays as long as they do.
    """
    training = multiprocessing.parent_process()
    if training is not None:
        connection.wait([training.sentinel])
        os._exit(1)
