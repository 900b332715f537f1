from __future__ import annotations

import csv
import mmap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from legseg_bids.workflows.monitor import MIB, Meter, measuring, start_table, watched


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_time_processor_and_memory_of_a_step(tmp_path: Path) -> None:
    table = tmp_path / "logs" / "run.tsv"
    start_table(table)
    # Straight from the system: what goes back to a heap stays with the process.
    with measuring(table, "wf.busy"), mmap.mmap(-1, 80 * MIB) as block:
        block.write(b"1" * (80 * MIB))
        until = time.process_time() + 0.2
        while time.process_time() < until:
            block.find(b"0")
    with measuring(table, "wf.idle"):
        time.sleep(0.2)
    busy, idle = rows(table)
    assert (busy["node"], idle["node"]) == ("wf.busy", "wf.idle")
    assert float(busy["seconds"]) >= 0.2
    # Other programs may take the processor away, so little is asked of it.
    assert float(busy["cpu_percent"]) > float(idle["cpu_percent"]) + 5
    assert float(busy["peak_rss_mib"]) > float(idle["peak_rss_mib"]) + 40


def test_a_step_that_fails_is_measured_too(tmp_path: Path) -> None:
    start_table(tmp_path / "t.tsv")
    with pytest.raises(ValueError, match="x"), measuring(tmp_path / "t.tsv", "wf.bad"):
        raise ValueError("x")
    assert [row["node"] for row in rows(tmp_path / "t.tsv")] == ["wf.bad"]


def test_status_callback_measures_between_start_and_end(tmp_path: Path) -> None:
    seen: list[str] = []
    table = tmp_path / "t.tsv"
    start_table(table)
    callback = watched(lambda node, status: seen.append(status), table)
    good, bad = SimpleNamespace(fullname="wf.good"), SimpleNamespace(fullname="wf.bad")
    for node, status in ((good, "start"), (good, "end"), (bad, "start"), (bad, "exception")):
        callback(node, status)
    callback(bad, "end")
    assert seen == ["start", "end", "start", "exception", "end"]
    assert [row["node"] for row in rows(table)] == ["wf.good", "wf.bad"]


def test_a_table_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("not a folder")
    with measuring(tmp_path / "logs" / "t.tsv", "wf.a"):
        pass
    assert "cannot be written" in capsys.readouterr().err


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("legseg_bids.workflows.monitor._STATM", tmp_path / "none")
    monkeypatch.setattr("legseg_bids.workflows.monitor._STATUS", tmp_path / "none")
    assert float(Meter("a").row()[-1]) > 1
