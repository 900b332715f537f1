"""Groups of participants.tsv."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluations import Simulated, table, write_evaluation, write_participants
from scipy import stats

from legseg_bids.errors import UsageError
from legseg_bids.evaluate.comparing import compare
from legseg_bids.evaluate.groups import MAX_GROUPINGS, read_groupings
from legseg_bids.evaluate.observations import ALL, load_metrics
from legseg_bids.evaluate.outcomes import GROUPS

PEOPLE = [f"sub-{n:03d}" for n in range(1, 13)]


def test_groups_are_those_of_the_file(tmp_path: Path) -> None:
    found = read_groupings(write_participants(tmp_path), "group", [*PEOPLE, "sub-stranger"])
    (grouping,) = found.used
    assert set(grouping.levels) == {"mild", "severe"}
    severe = grouping.levels.index("severe")
    assert (grouping.member == severe).tolist() == [*([True, False] * 6), False]
    assert grouping.member[-1] == -1


def test_without_a_name_all_that_make_groups_are_taken(tmp_path: Path) -> None:
    columns = [f"c{k}" for k in range(MAX_GROUPINGS + 2)]
    rows = [
        {"participant_id": name, "age": n, **dict.fromkeys(columns, "ab"[n % 2])}
        for n, name in enumerate(PEOPLE)
    ]
    path = tmp_path / "participants.tsv"
    path.write_text(table(("participant_id", "age", *columns), rows))
    assert [g.name for g in read_groupings(path, None, PEOPLE).used] == columns[:MAX_GROUPINGS]


def test_names_without_the_prefix_are_known(tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    rows = [{"participant_id": name[4:], "g": "ab"[n % 2]} for n, name in enumerate(PEOPLE)]
    path.write_text(table(("participant_id", "g"), rows))
    (grouping,) = read_groupings(path, "g", PEOPLE).used
    assert (grouping.member >= 0).all()


def test_numbers_make_no_groups_and_that_is_told(tmp_path: Path) -> None:
    found = read_groupings(write_participants(tmp_path), "age", PEOPLE)
    assert found.used == ()
    assert found.notes == ("age: numbers, no groups",)


@pytest.mark.parametrize(
    ("text", "group_by", "said"),
    [
        ("participant_id\tgroup\nsub-001\ta\n", "sex", "expected one of group"),
        ("name\tgroup\nx\ta\n", "group", "participant_id"),
        (None, "group", "cannot be used"),
    ],
)
def test_bad_files_are_explained(
    tmp_path: Path, text: str | None, group_by: str, said: str
) -> None:
    path = tmp_path / "participants.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_groupings(path, group_by, PEOPLE)


def test_a_column_needs_a_file() -> None:
    assert read_groupings(None, None, PEOPLE).used == ()
    with pytest.raises(UsageError, match=r"no participants\.tsv"):
        read_groupings(None, "group", PEOPLE)


def test_a_harder_group_is_found_in_every_model(tmp_path: Path) -> None:
    wanted = Simulated(participants=16, severe=0.1)
    folder = write_evaluation(tmp_path, wanted)
    found = compare(folder, participants=write_participants(tmp_path, 16), group_by="group")
    tests = [t for t in found.tests if t.kind == GROUPS and t.structure == ALL]
    dice = [t for t in tests if t.metric == "dice"]
    assert [t.model for t in dice] == ["A", "B"]
    for outcome in dice:
        sign = 1 if outcome.first == "mild" else -1
        assert outcome.significant
        assert sign * outcome.effect > 0.9
        assert outcome.g is not None
        assert sign * outcome.g.value > 2
        assert sign * outcome.difference.value == pytest.approx(0.1, abs=0.04)  # type: ignore[union-attr]
    groups = {(s.by, s.group) for s in found.summaries}
    assert groups == {("", ""), ("group", "mild"), ("group", "severe")}


def test_the_test_is_that_of_scipy(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path, Simulated(participants=14))
    found = compare(folder, participants=write_participants(tmp_path, 14), group_by="group")
    outcome = next(t for t in found.tests if t.kind == GROUPS and t.structure == "RF")
    values = found.seen.single(load_metrics()["dice"])[0, :, found.seen.structures.index("RF")]
    severe = found.groupings.used[0].levels.index("severe")
    member = found.groupings.used[0].member
    one, two = values[member == severe], values[member == 1 - severe]
    ours = (one, two) if outcome.first == "severe" else (two, one)
    theirs = stats.mannwhitneyu(*ours)
    assert (outcome.statistic, outcome.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert outcome.method == "exact"


def test_three_in_a_group_are_too_few_for_a_p(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path, Simulated(participants=6, severe=0.3))
    found = compare(folder, participants=write_participants(tmp_path, 6), group_by="group")
    tests = [t for t in found.tests if t.kind == GROUPS]
    assert tests
    assert all(t.p is None and abs(t.effect) <= 1 for t in tests)
