from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.cli import resources
from legseg_bids.errors import UsageError
from legseg_bids.settings import GIB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 8_000_000_000),
        ("8G", 8 * GIB),
        ("8GiB", 8 * GIB),
        (" 1.5 tb ", 1_500_000_000_000),
        ("512MiB", 512 * 1024**2),
        ("100kb", 100_000),
        (".5g", GIB // 2),
        ("100B", 100),
    ],
)
def test_memory_with_a_unit_is_read(text: str, expected: int) -> None:
    assert resources.parse_memory(text) == expected


@pytest.mark.parametrize(
    "text", ["8", "8.5", "", "GB", "8 XB", "-1GB", "0GB", "eight GB", "1e3GB"]
)
def test_memory_without_unit_or_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write for example 8GB"):
        resources.parse_memory(text)


def fake_proc(folder: Path, groups: str = "", available_kib: int = 8 * 1024**2) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "self" / "cgroup").write_text(groups)
    (folder / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {available_kib} kB\n")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


@pytest.fixture
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_affinity", lambda: resources.Limit(64, "CPU affinity"))


@pytest.mark.usefixtures("many_cpus")
class TestAllowedCpus:
    def test_affinity_is_the_limit_where_nothing_else_is_said(self, tmp_path: Path) -> None:
        assert resources.allowed_cpus({}, tmp_path, fake_proc(tmp_path / "proc")).amount == 64

    @pytest.mark.parametrize(("said", "expected"), [("4", 4), ("", 64), ("many", 64), ("0", 64)])
    def test_slurm(self, tmp_path: Path, said: str, expected: int) -> None:
        environ = {"SLURM_CPUS_PER_TASK": said}
        found = resources.allowed_cpus(environ, tmp_path, fake_proc(tmp_path / "proc"))
        assert found.amount == expected

    @pytest.mark.parametrize(("task", "expected"), [("2", 2), (None, 6)])
    def test_slurm_gives_a_task_less_than_a_job(
        self, tmp_path: Path, task: str | None, expected: int
    ) -> None:
        environ = {"SLURM_CPUS_ON_NODE": "6"} | ({"SLURM_CPUS_PER_TASK": task} if task else {})
        found = resources.allowed_cpus(environ, tmp_path, fake_proc(tmp_path / "proc"))
        assert found.amount == expected

    @pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
    def test_controllers_that_share_a_tree(self, tmp_path: Path, folder: str) -> None:
        proc = fake_proc(tmp_path / "proc", "3:cpu,cpuacct:/job\n")
        write(tmp_path / "cg" / folder / "job" / "cpu.cfs_quota_us", "300000")
        write(tmp_path / "cg" / folder / "job" / "cpu.cfs_period_us", "100000")
        assert resources.allowed_cpus({}, tmp_path / "cg", proc).amount == 3

    def test_nothing_outside_the_tree_is_looked_at(self, tmp_path: Path) -> None:
        """With a name space of its own a process may see its group as ``/../job``."""
        proc = fake_proc(tmp_path / "proc", "0::/../job\n")
        write(tmp_path / "job" / "cpu.max", "100000 100000")
        write(tmp_path / "cg" / "cpu.max", "400000 100000")
        assert resources.allowed_cpus({}, tmp_path / "cg", proc).amount == 4

    @pytest.mark.parametrize(
        ("quota", "expected"),
        [("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1), ("", 64)],
    )
    def test_control_group_version_2(self, tmp_path: Path, quota: str, expected: int) -> None:
        proc = fake_proc(tmp_path / "proc", "0::/user.slice/job\n")
        write(tmp_path / "cg" / "user.slice" / "cpu.max", quota)
        assert resources.allowed_cpus({}, tmp_path / "cg", proc).amount == expected

    @pytest.mark.parametrize(("quota", "expected"), [("-1", 64), ("300000", 3)])
    def test_control_group_version_1(self, tmp_path: Path, quota: str, expected: int) -> None:
        proc = fake_proc(tmp_path / "proc", "4:memory:/a\n3:cpu,cpuacct:/job\n")
        write(tmp_path / "cg" / "cpu" / "job" / "cpu.cfs_quota_us", quota)
        write(tmp_path / "cg" / "cpu" / "job" / "cpu.cfs_period_us", "100000")
        assert resources.allowed_cpus({}, tmp_path / "cg", proc).amount == expected

    def test_limit_at_the_visible_root_binds_where_our_group_is_hidden(
        self, tmp_path: Path
    ) -> None:
        proc = fake_proc(tmp_path / "proc", "0::/not/visible\n")
        write(tmp_path / "cg" / "cpu.max", "200000 100000")
        assert resources.allowed_cpus({}, tmp_path / "cg", proc).amount == 2


class TestAllowedMemory:
    def test_what_is_available_on_the_machine(self, tmp_path: Path) -> None:
        assert (
            resources.allowed_memory({}, tmp_path, fake_proc(tmp_path / "proc")).amount == 8 * GIB
        )

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"SLURM_MEM_PER_NODE": "4096"}, 4 * GIB),
            ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_PER_TASK": "2"}, 2 * GIB),
            ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "3"}, 3 * GIB),
            ({"SLURM_MEM_PER_CPU": "1024"}, GIB),
            ({"SLURM_MEM_PER_GPU": "2048"}, 2 * GIB),
            ({"SLURM_MEM_PER_GPU": "2048", "SLURM_GPUS_ON_NODE": "2"}, 4 * GIB),
            ({"SLURM_MEM_PER_NODE": "0"}, 8 * GIB),
        ],
    )
    def test_slurm(self, tmp_path: Path, environ: dict[str, str], expected: int) -> None:
        proc = fake_proc(tmp_path / "proc")
        assert resources.allowed_memory(environ, tmp_path, proc).amount == expected

    @pytest.mark.parametrize(
        ("groups", "file"),
        [
            ("0::/job\n", "job/memory.max"),
            ("0::/job/step\n", "job/memory.max"),
            ("0::/job\n", "job/memory.high"),
            ("0::/job\n", "unified/job/memory.max"),
            ("0::/hidden\n", "memory.max"),
            ("7:memory:/job\n", "memory/job/memory.limit_in_bytes"),
        ],
    )
    def test_control_groups(self, tmp_path: Path, groups: str, file: str) -> None:
        proc = fake_proc(tmp_path / "proc", groups)
        write(tmp_path / "cg" / file, str(3 * GIB))
        assert resources.allowed_memory({}, tmp_path / "cg", proc).amount == 3 * GIB

    def test_a_limit_of_a_group_that_is_not_visible(self, tmp_path: Path) -> None:
        proc = fake_proc(tmp_path / "proc", "7:memory:/docker/abc\n")
        write(tmp_path / "cg" / "memory" / "memory.limit_in_bytes", "9223372036854771712")
        text = f"cache 0\nhierarchical_memory_limit {2 * GIB}"
        write(tmp_path / "cg" / "memory" / "memory.stat", text)
        found = resources.allowed_memory({}, tmp_path / "cg", proc)
        assert found == resources.Limit(2 * GIB, "control group, hierarchical_memory_limit")

    @pytest.mark.parametrize("text", ["max", "", "many"])
    def test_a_group_without_limit(self, tmp_path: Path, text: str) -> None:
        proc = fake_proc(tmp_path / "proc", "0::/job\n")
        write(tmp_path / "cg" / "job" / "memory.max", text)
        found = resources.allowed_memory({}, tmp_path / "cg", proc)
        assert found == resources.Limit(8 * GIB, "available on this machine")

    def test_nothing_known_leaves_the_default(self, tmp_path: Path) -> None:
        found = resources.allowed_memory({}, tmp_path, tmp_path / "no-proc").amount
        assert resources.share(1, int(found)).memory == resources.DEFAULT_MEMORY


def test_this_process_is_allowed_something() -> None:
    assert resources.allowed_cpus().amount >= 1
    assert resources.allowed_memory().amount > 0


@given(
    cpus=st.integers(1, 256),
    threads=st.none() | st.integers(1, 64),
    total=st.none() | st.integers(GIB, 512 * GIB),
)
def test_a_share_never_exceeds_what_there_is(
    cpus: int, threads: int | None, total: int | None
) -> None:
    found = 64 * GIB
    share = resources.share(cpus, found, threads=threads, total=total)
    assert 1 <= share.workers * share.threads <= cpus
    assert share.workers * share.memory <= (total or found)


def test_the_line_says_what_is_used_what_is_allowed_and_who_says_so() -> None:
    allowed = resources.Limit(4, "SLURM_CPUS_PER_TASK"), resources.Limit(8 * GIB, "memory.max")
    line = resources.describe(resources.share(4, 8 * GIB), *allowed)
    assert "allowed: 4 processor(s) (SLURM_CPUS_PER_TASK), 8.0 GiB (memory.max)" in line
    assert "WARNING" not in line
    greedy = resources.describe(resources.share(5, 8 * GIB, total=9 * GIB), *allowed)
    assert "more processors than are allowed" in greedy
    assert "more memory than is allowed" in greedy


def test_resources_say_what_they_are() -> None:
    assert "2 image(s) at a time, 8 thread(s)" in str(resources.share(16, 64 * GIB))
