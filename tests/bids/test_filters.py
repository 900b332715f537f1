from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

import pytest

from legseg_bids.bids.discover import discover, index
from legseg_bids.bids.filters import Filters, filter_counts, query_names, read_filters
from legseg_bids.bids.queries import load_queries
from legseg_bids.bids.spellings import Spelling, read_spelling
from legseg_bids.errors import UsageError

IMAGES = {
    "sub-1/anat/sub-1_acq-dixonOUT_run-01_T1w": {},
    "sub-1/anat/sub-1_acq-dixonW_run-01_T1w": {},
    "sub-1/anat/sub-1_acq-dixonF_run-01_T1w": {},
    "sub-1/anat/sub-1_acq-out_run-02_T1w": {},
    "sub-2/ses-a/dix/sub-2_ses-a_stk-UP_megre_dix_outph": {},
}


@pytest.fixture
def write(tmp_path: Path):
    def _write(content: Any) -> Path:
        path = tmp_path / "filter.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return _write


def image(stem: str) -> Spelling:
    spelling = read_spelling(PurePath(f"{stem}.nii.gz"), load_queries())
    assert spelling is not None
    return spelling


FIRST, QMR = image(next(iter(IMAGES))), image(list(IMAGES)[-1])


@pytest.mark.parametrize(
    ("rule", "first", "qmr"),
    [
        ({}, True, True),
        ({"acquisition": "dixonOUT"}, True, False),
        ({"acq": "acq-dixonOUT"}, True, False),
        ({"acq": "dixonout"}, False, False),
        ({"acq": None}, False, True),
        ({"acq": "*"}, True, False),
        ({"acq": ["x", None]}, False, True),
        ({"acq": []}, False, False),
        ({"run": 1}, True, False),
        ({"run": "1", "acq": "out"}, False, False),
        ({"session": "ses-a"}, False, True),
        ({"ses": [None, "b"]}, True, False),
        ({"stack": "UP"}, False, True),
        ({"suffix": "T1w"}, True, False),
        ({"suffix": "MEGRE"}, False, True),
        ({"suffix": "megre_dix"}, False, True),
        ({"suffix": ["T1w", "outph"]}, True, True),
        ({"datatype": "anat"}, True, False),
        ({"extension": ".nii.gz"}, True, True),
        ({"subject": "1"}, True, False),
    ],
)
def test_rules(write, rule: dict[str, Any], first: bool, qmr: bool) -> None:
    filters = read_filters(write({"all": rule}))
    assert (filters.allows("opposed", FIRST), filters.allows("opposed", QMR)) == (first, qmr)


def test_a_query_sees_its_own_rule_and_the_one_for_all(write) -> None:
    filters = read_filters(write({"OPPOSED": {"acq": "dixonOUT"}, "All": {"run": 1}}))
    assert filters.allows("opposed", FIRST)
    assert filters.allows("echoes", FIRST)
    assert not filters.allows("opposed", image("sub-1/anat/sub-1_acq-x_run-1_T1w"))
    assert filters.allows("echoes", image("sub-1/anat/sub-1_acq-x_run-1_T1w"))
    assert not filters.allows_any(image("sub-1/anat/sub-1_acq-x_run-2_T1w"))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([], "is no object"),
        ({"opposed": []}, "query 'opposed' .* is no object"),
        ({"t1w": {}}, "query 't1w' .* unknown; expected one of all, opposed, echoes, water_fat"),
        ({"oposed": {}}, "did you mean 'opposed'"),
        ({"opposed": {"aquisition": "x"}}, "did you mean 'acquisition'"),
        ({"opposed": {"Acq": "x"}}, "entity 'Acq'"),
        ({"opposed": {"acq": {"x": 1}}}, "has the value"),
        ({"opposed": {"acq": True}}, "has the value True"),
        ({"opposed": {"run": 1.5}}, "has the value 1.5"),
        ({"opposed": {"acq": "a", "acquisition": "b"}}, "by another name"),
        ({"opposed": {}, "Opposed": {}}, "stands twice"),
        ('{"all": {"acq": "a", "acq": "b"}}', "'acq' stands twice"),
    ],
)
def test_mistakes_are_named(write, content: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        read_filters(write(content))
    assert "filter.json" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.json cannot be read .*--bids-filter-file"):
        read_filters(tmp_path / "absent.json")


def test_filters_choose_the_query(build, nearest_odd) -> None:
    root = build(IMAGES)
    filters = Filters({"opposed": {"run": ("2",)}, "all": {"ses": (None,)}})
    found = discover(index(root, filters=filters), nearest_odd, filters)
    assert [(s.query, s.entities["run"]) for s in found.stations] == [
        ("water_fat", "01"),
        ("opposed", "02"),
    ]
    assert found.skipped == ()


def test_a_filter_for_opposed_leaves_the_fat_fraction(build, nearest_odd) -> None:
    filters = Filters({"opposed": {"acq": ("dixonOUT",)}})
    found = discover(index(build(IMAGES), filters=filters), nearest_odd, filters)
    assert set(found.stations[0].files) == {"opposed", "water", "fat"}


def test_what_a_filter_leaves_out_is_not_mentioned(build, nearest_odd) -> None:
    filters = Filters({"all": {"acq": ("dixonW",)}})
    found = discover(index(build(IMAGES), filters=filters), nearest_odd, filters)
    assert not found.stations
    assert [[path.name for path in skip.files] for skip in found.skipped] == [
        ["sub-1_acq-dixonW_run-01_T1w.nii.gz"]
    ]


def test_counts(build) -> None:
    filters = Filters({"opposed": {"acq": ("out",)}, "echoes": {"echo": ("*",)}})
    dataset = index(build(IMAGES), filters=filters)
    images = [path.relative_to(dataset.root) for path in dataset.offered]
    lines = filter_counts(images, filters)
    assert [line.split("may take ")[1].partition(" of the")[0] for line in lines] == [
        "1 of 5 images",
        "0 of 5 images",
        "5 of 5 images",
    ]
    assert [line.split()[2] for line in lines] == list(query_names())
