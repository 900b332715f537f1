from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legseg_bids.bids.entities import entity_order
from legseg_bids.bids.names import (
    assert_unique,
    figure_path,
    insert_entities,
    log_dir,
    output_path,
    output_paths,
    parse_name,
    printable,
)
from legseg_bids.errors import OutputError

RAW_KEYS = [key for key in entity_order() if key not in {"sub", "seg", "label", "desc", "atlas"}]
VALUES = st.text("abcXYZ019", min_size=1, max_size=4)
ENTITIES = st.dictionaries(st.sampled_from(RAW_KEYS), VALUES, max_size=6)
SUFFIXES = st.sampled_from(["T1w", "MEGRE", "FLASH"])


def source(entities: dict[str, str], suffix: str = "T1w") -> str:
    ordered = [f"{key}-{entities[key]}" for key in entity_order() if key in entities]
    return f"sub-1/anat/{'_'.join(['sub-1', *ordered, suffix])}.nii.gz"


@given(ENTITIES, SUFFIXES)
def test_parsing_loses_nothing(entities: dict[str, str], suffix: str) -> None:
    name = source(entities, suffix).rpartition("/")[2]
    assert str(parse_name(name)) == name


@pytest.mark.parametrize("name", ["sub-1_ses-001_stk-UPLEG_megre_dix_outph.nii", "T1w.json", "x"])
def test_parsing_keeps_names_that_are_not_bids(name: str) -> None:
    assert str(parse_name(name)) == name


@given(ENTITIES, SUFFIXES)
def test_outputs_keep_every_source_entity_and_the_bids_order(
    entities: dict[str, str], suffix: str
) -> None:
    name = parse_name(output_path(Path("out"), source(entities, suffix)).name)
    keys = [key for key, _ in name.entities]
    assert dict(name.entities) == {"sub": "1", **entities, "seg": "muscles"}
    assert keys == sorted(keys, key=entity_order().index)


@given(ENTITIES, ENTITIES)
def test_distinct_sources_have_distinct_outputs(a: dict[str, str], b: dict[str, str]) -> None:
    same = output_path(Path("out"), source(a)) == output_path(Path("out"), source(b))
    assert same == (a == b)


def test_two_stations_with_echo_part_and_chunk() -> None:
    names = [f"sub-1/anat/sub-1_acq-d_echo-1_part-mag_chunk-{n}_MEGRE.nii.gz" for n in (1, 2)]
    outputs = [output_path(Path("o"), name).name for name in names]
    assert outputs == [
        f"sub-1_acq-d_echo-1_part-mag_chunk-{n}_seg-muscles_dseg.nii.gz" for n in (1, 2)
    ]


def test_entities_of_unusual_order_stay_where_they_are() -> None:
    name = insert_entities(parse_name("sub-1_chunk-3_part-out_vibe.nii"), {"seg": "m"})
    assert str(name) == "sub-1_chunk-3_part-out_seg-m_vibe.nii"


def test_an_entity_that_is_there_gets_the_new_value() -> None:
    name = insert_entities(parse_name("sub-1_seg-old_desc-x_dseg.nii"), {"seg": "new"})
    assert str(name) == "sub-1_seg-new_desc-x_dseg.nii"


@pytest.mark.parametrize("bad", ["/sub-1/anat/sub-1_T1w.nii", "../sub-1/x_T1w.nii", "x_T1w.nii"])
def test_sources_outside_the_dataset_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="inside the dataset"):
        output_path(Path("out"), bad)


def test_all_files_of_a_station_differ() -> None:
    paths = vars(output_paths(Path("out"), "sub-1/ses-a/anat/sub-1_ses-a_acq-opp_T1w.nii.gz"))
    assert len(set(paths.values())) == len(paths)
    assert all("acq-opp" in path.name for path in paths.values())


def test_figures_and_logs_lie_with_the_participant() -> None:
    name = "sub-1/ses-a/anat/sub-1_ses-a_T1w.nii"
    assert figure_path(Path("o"), name).parent == Path("o/sub-1/figures")
    assert log_dir(Path("o"), "1") == Path("o/logs/sub-1")


def test_unique_outputs_pass_and_equal_ones_are_named() -> None:
    assert_unique([Path("a"), Path("b")])
    with pytest.raises(OutputError, match=r"written to a;.*run-"):
        assert_unique([Path("a"), Path("b"), Path("a")])


@pytest.mark.parametrize("text", ["plain", "über, ✓ Ångström", "C:\\n"])
def test_what_can_be_printed_stays(text: str) -> None:
    assert printable(text) == text
