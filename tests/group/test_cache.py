"""What is remembered is what the files hold, always."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import pytest

from legseg_bids.group import cache
from legseg_bids.group.collect import participants
from legseg_bids.group.level import write_tables


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written just now count as old enough to be remembered."""
    monkeypatch.setattr(cache, "SETTLED", -1)


def volumes(out: Path) -> list[str]:
    with cache.remembering(out) as memory:
        return [row["volume"] for p in participants(out, (), memory) for row in p.rows]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []

    def text(path: Path) -> str:
        read.append(path.name)
        return path.read_text()

    monkeypatch.setattr(cache, "DISK", cache.Disk(text=text))
    return read


def test_unchanged_files_are_not_read_again(
    finish, make_row, out: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for subject in ("1", "2", "3"):
        finish(f"sub-{subject}_acq-out_T1w", [make_row("RF_L", float(subject))])
    assert volumes(out) == ["1", "2", "3"]
    read = count_reads(monkeypatch)
    assert volumes(out) == ["1", "2", "3"]
    assert read == []
    finish("sub-2_acq-out_T1w", [make_row("RF_L", 9.0)])
    assert volumes(out) == ["1", "9", "3"]
    assert {name.partition("_")[0] for name in read} == {"sub-2"}


def test_participants_may_come_and_go(finish, make_row, out: Path, settled: None) -> None:
    for subject in ("1", "3", "5"):
        finish(f"sub-{subject}_acq-out_T1w", [make_row("RF_L", float(subject))])
    assert volumes(out) == ["1", "3", "5"]
    finish("sub-0_acq-out_T1w", [make_row("RF_L", 0.5)])
    finish("sub-4_acq-out_T1w", [make_row("RF_L", 4.0)])
    finish("sub-3_acq-out_T1w", []).unlink()
    assert volumes(out) == ["0.5", "1", "4", "5"]
    assert volumes(out) == ["0.5", "1", "4", "5"]


def test_a_table_of_the_same_size_and_date_is_noticed(
    finish, make_row, out: Path, settled: None
) -> None:
    sidecar = finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    assert volumes(out) == ["1"]
    table = sidecar.with_suffix(".tsv")
    told = table.stat()
    time.sleep(0.02)  # the finest step of a time stamp of a file system
    table.write_text(table.read_text().replace("\t1\t", "\t7\t"))
    os.utime(table, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert volumes(out) == ["7"]


def test_what_was_written_just_now_is_not_remembered(finish, make_row, out: Path) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    assert volumes(out) == ["1"]
    with gzip.open(cache.cache_path(out)) as file:
        assert len(file.readlines()) == 1  # the line that names the format


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"no gzip",
        lambda data: data[:-20],
        lambda data: gzip.compress(b"[]\n"),
        lambda data: gzip.compress(gzip.decompress(data).replace(b"cache 1", b"cache 0")),
        lambda data: gzip.compress(gzip.decompress(data) + b"{half\n"),
        lambda data: gzip.compress(gzip.decompress(data).replace(b"{", b"[").replace(b"}", b"]")),
    ],
)
def test_a_spoilt_cache_was_never_there(finish, make_row, out: Path, settled: None, spoil) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    assert volumes(out) == ["1"]
    path = cache.cache_path(out)
    path.write_bytes(spoil(path.read_bytes()))
    assert volumes(out) == ["1"]


def test_nothing_is_left_of_a_run_that_failed(
    finish, make_row, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish("sub-1_acq-out_T1w", [make_row("RF_L", 1.0)])
    write_tables(out)
    before = cache.cache_path(out).read_bytes()
    monkeypatch.setattr(cache.Memory, "of", None)
    with pytest.raises(TypeError):
        write_tables(out)
    assert cache.cache_path(out).read_bytes() == before
    assert [p.name for p in out.rglob("*.tmp")] == []
