"""How often a run reads its sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import run_legseg
from skeleton import outphase_dataset

from legseg_bids.workflows import ledger


def test_a_source_is_read_once_to_know_that_it_is_done(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = ledger.sha256

    def counted(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(ledger, "sha256", counted)
    words = (outphase_dataset(tmp_path / "bids", 2), tmp_path / "out", "participant")
    options = ("--models", tiny_models, "--device", "cpu", "--skip-bids-validation")
    options = (*options, "--nprocs", "1")
    assert run_legseg(*words, *options).code == 0
    # Without a result there is nothing to compare, and what this run wrote names this run.
    assert read == []
    ended = run_legseg(*words, *options)
    assert ended.lines[-1].endswith("2 skipped because done")
    assert read == [f"sub-0{n}_acq-outphase_T1w.nii.gz" for n in (1, 2)]
