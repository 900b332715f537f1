"""What surrounds the graphs of a run: locks, tables, drawings, tidying."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from skeleton import outphase_dataset, tree
from stations import chunk, two_stations

from legseg_bids.settings import Settings
from legseg_bids.workflows.locks import claim
from legseg_bids.workflows.outcomes import Outcome, Status
from legseg_bids.workflows.run import run_participants

Lines = list[str]


@pytest.fixture
def two(settings: Settings, tmp_path: Path) -> Settings:
    """One participant with two stations."""
    return replace(settings, bids_dir=two_stations(tmp_path / "two"))


def run(settings: Settings, lines: Lines | None = None) -> tuple[Outcome, ...]:
    return run_participants(settings, (lines if lines is not None else []).append)


def statuses(outcomes: tuple[Outcome, ...]) -> list[Status]:
    return [outcome.status for outcome in outcomes]


def test_a_participant_that_another_run_is_at_work_on_is_left_to_it(two: Settings) -> None:
    with claim(two.output_dir, ["01"]):
        outcomes = run(two)
    assert statuses(outcomes) == [Status.ELSEWHERE] * 2
    assert "run again when it has ended" in outcomes[0].message
    assert not list(two.output_dir.rglob("*.nii.gz"))
    assert statuses(run(two)) == [Status.SEGMENTED, Status.SEGMENTED, Status.MERGED]
    assert not list(two.output_dir.rglob(".lock"))


def test_what_another_run_finished_meanwhile_is_not_done_again(
    two: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run ends between our first look and our claim."""
    from legseg_bids.workflows import run as module

    real, lines = module.prepare_output, []

    def prepare_output(folder: Path) -> None:
        monkeypatch.setattr(module, "prepare_output", real)
        run(two)
        real(folder)

    monkeypatch.setattr(module, "prepare_output", prepare_output)
    assert statuses(run(two, lines)) == [Status.DONE] * 3
    assert not any("segmenting" in line for line in lines)


def test_why_a_finished_station_is_segmented_again_is_told(two: Settings, tmp_path: Path) -> None:
    """A filter that hides a neighbour makes another set of what is left."""
    lines: Lines = []
    run(two, lines)
    assert not any("again" in line for line in lines)
    (tmp_path / "filter.json").write_text('{"all": {"chunk": 1}}')
    assert statuses(run(replace(two, filter_file=tmp_path / "filter.json"), lines)) == [
        Status.SEGMENTED
    ]
    (told,) = (line for line in lines if "again" in line)
    assert told.startswith("sub-01_acq-outphase_chunk-1_T1w: to be segmented again, because")
    assert "located with other stations" in told


def test_what_is_done_is_not_claimed_where_nothing_shall_be_merged(two: Settings) -> None:
    """Its participant may be another run's; and no empty log folder is made."""
    run(two)
    with claim(two.output_dir, ["01"]):
        outcomes = run(replace(two, merge_stations=False))
    assert statuses(outcomes) == [Status.DONE] * 2


def test_names_of_merged_images_are_compared_once_however_many_sets_there_are(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from legseg_bids.workflows import rounds

    calls: list[int] = []
    real = rounds.first_of_each_name
    monkeypatch.setattr(
        rounds, "first_of_each_name", lambda sets: (calls.append(len(sets)), real(sets))[1]
    )
    run(replace(settings, bids_dir=outphase_dataset(tmp_path / "three", 3)))
    assert calls == [3]


def test_drawing_and_table_of_costs(two: Settings) -> None:
    run(replace(two, write_graph=True, resource_monitor=True))
    logs = two.output_dir / "logs"
    (drawing,) = logs.glob("*_graph.dot")
    assert "gather" in drawing.read_text()
    (table,) = logs.glob("*_resources.tsv")
    nodes = [line.split("\t")[0].rpartition(".")[2] for line in table.read_text().splitlines()[1:]]
    assert nodes.count("segment") == 2
    assert nodes.count("join") == 1


@pytest.mark.parametrize("clean", [True, False])
def test_the_work_folder_is_kept_unless_it_shall_be_clean(two: Settings, clean: bool) -> None:
    run(replace(two, clean_workdir=clean))
    assert two.work_dir is not None
    left = [name for name in tree(two.work_dir) if name.endswith("prepared.npz")]
    assert len(left) == (0 if clean else 2)


def test_a_clean_work_folder_keeps_what_failed(two: Settings) -> None:
    (two.bids_dir / f"{chunk(2)}.nii.gz").write_bytes(b"damaged")
    outcomes = run(replace(two, clean_workdir=True))
    assert statuses(outcomes) == [Status.SEGMENTED, Status.FAILED]
    assert two.work_dir is not None
    left = tree(two.work_dir)
    assert not any(name.endswith("prepared.npz") for name in left)
    assert any("chunk_2" in name and "locate" in name for name in left)
    assert not any(name.endswith("problem.json") for name in left)


def test_an_output_that_vanishes_is_noticed(
    two: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from legseg_bids.errors import OutputError
    from legseg_bids.workflows import run as module

    def leave(output: Path, bids: Path) -> None:
        """Write nothing, as if the mount had gone away."""

    monkeypatch.setattr(module, "write_dataset_files", leave)
    with pytest.raises(OutputError, match="no longer what it was"):
        run(two)


def heard(settings: Settings, lines: Lines | None = None) -> tuple[list[Outcome], tuple]:
    """What is told while a run goes on, and what it returns."""
    told: list[Outcome] = []
    lines = lines if lines is not None else []
    return told, run_participants(settings, lines.append, tell=told.append)


def test_what_became_of_each_image_is_told_as_its_set_ends(
    settings: Settings, tmp_path: Path
) -> None:
    """Also why one failed: whoever stops the run later has the reasons in the log."""
    bids = outphase_dataset(tmp_path / "three", 3)
    (bids / "sub-02/anat/sub-02_acq-outphase_T1w.nii.gz").write_bytes(b"")
    events: list[object] = []
    outcomes = run_participants(
        replace(settings, bids_dir=bids), events.append, tell=events.append
    )
    told = [event for event in events if isinstance(event, Outcome)]
    assert tuple(told) == outcomes
    assert statuses(outcomes) == [Status.SEGMENTED, Status.FAILED, Status.SEGMENTED]
    third = next(n for n, event in enumerate(events) if "(3/3)" in str(event))
    assert events.index(told[1]) < third
    assert "is empty" in told[1].message


def test_each_image_is_told_once_also_if_nothing_is_to_do(two: Settings) -> None:
    first, made = heard(two)
    assert first == list(made)
    second, made = heard(two)
    assert statuses(tuple(second)) == [Status.DONE] * 3
    assert sorted(map(str, second)) == sorted(map(str, made))


def remove_merged_image(settings: Settings) -> None:
    for path in settings.output_dir.rglob("*_desc-merged_dseg.*"):
        path.unlink()


def test_what_is_only_to_merge_is_left_to_another_run_too(two: Settings) -> None:
    run(two)
    with claim(two.output_dir, ["01"]):
        assert statuses(run(two)) == [Status.DONE] * 3
    remove_merged_image(two)
    with claim(two.output_dir, ["01"]):
        told, outcomes = heard(two)
    assert statuses(outcomes) == [Status.DONE, Status.DONE, Status.ELSEWHERE]
    assert outcomes[2].image == "sub-01: 2 stations merged"
    assert outcomes[2] in told
    assert statuses(run(two)) == [Status.DONE, Status.DONE, Status.MERGED]


def test_a_dry_run_says_what_is_only_to_merge(
    two: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    def states() -> list[str]:
        outcomes = run_participants(two, [].append, dry_run=True)
        _, *rows = capsys.readouterr().out.splitlines()
        return [row.rpartition("  ")[2] for row in rows] + statuses(outcomes)

    assert states() == ["to do", "to do", Status.PLANNED, Status.PLANNED]
    run(two)
    capsys.readouterr()
    assert states() == ["done", "done", Status.DONE, Status.DONE]
    remove_merged_image(two)
    assert states() == ["to merge", "to merge", Status.DONE, Status.DONE, Status.TO_MERGE]
    assert not list(two.output_dir.rglob("*_desc-merged_dseg.nii.gz"))


def test_a_filter_is_told_with_the_images_it_chose_from(two: Settings, tmp_path: Path) -> None:
    lines: Lines = []
    (tmp_path / "filter.json").write_text('{"all": {"chunk": 1}}')
    settings = replace(two, filter_file=tmp_path / "filter.json")
    run_participants(settings, lines.append, dry_run=True)
    (told,) = (line for line in lines if line.startswith("filter: query opposed"))
    assert told == (
        "filter: query opposed may take 1 of 2 images of the chosen participants and sessions"
    )


def test_steps_do_not_write_across_a_display(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    from legseg_bids.workflows.board import Board

    board = Board()
    board.shown = True
    run_participants(settings, [].append, board=board)
    assert "network" not in capfd.readouterr().err
    assert (board.through, board.images, board.at_work()) == (1, 1, [])
    assert board.counts == {Status.SEGMENTED: 1}


@pytest.mark.parametrize("step", ["segment", "join", "report"])
def test_what_was_in_work_when_the_run_was_stopped_has_not_failed(
    two: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """nipype swallows Ctrl-C inside a step, and writes a crash file about it."""
    from legseg_bids.interfaces.report import WriteReport
    from legseg_bids.interfaces.segment import SegmentRegions
    from legseg_bids.interfaces.whole_leg import MergeStations

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def heed(line: str) -> None:
        if "FAILED" in line:
            raise KeyboardInterrupt

    steps = {"segment": SegmentRegions, "join": MergeStations, "report": WriteReport}
    told: list[Outcome] = []
    monkeypatch.setattr(steps[step], "_run_interface", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_participants(replace(two, write_reports=True), heed, tell=told.append)
    assert list((two.output_dir / "logs").rglob(f"crash-*{step}*.txt"))
    assert Status.FAILED not in statuses(tuple(told))
    assert len(told) == {"segment": 0, "join": 2, "report": 3}[step]
