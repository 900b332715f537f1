from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from legseg_bids.bids.dataset import index
from legseg_bids.bids.discover import discover
from legseg_bids.bids.sets import StationSet
from legseg_bids.bids.stations import Station
from legseg_bids.imaging.dixon import choose_opposed_echo
from legseg_bids.settings import GIB, Settings
from legseg_bids.workflows.station import (
    STEPS,
    Networks,
    init_legseg_wf,
    init_station_wf,
    station_name,
)


@pytest.fixture
def station(bids_dir: Path) -> Station:
    return discover(index(bids_dir), choose_opposed_echo).stations[0]


@pytest.fixture
def networks(tiny_models: Path) -> Networks:
    return Networks(tiny_models, "openvino", "cpu", "abc")


def test_every_step_stands_once_and_in_order(
    station: Station, settings: Settings, networks: Networks
) -> None:
    import networkx as nx

    graph = init_station_wf(station, settings, networks)._create_flat_graph()
    assert [node.name for node in nx.topological_sort(graph)] == list(STEPS)


@pytest.mark.parametrize("probabilities", [False, True])
def test_every_input_that_must_be_there_is_set_or_connected(
    station: Station, settings: Settings, networks: Networks, probabilities: bool
) -> None:
    from nipype.interfaces.base import isdefined

    settings = replace(settings, write_probabilities=probabilities)
    graph = init_station_wf(station, settings, networks)._create_flat_graph()
    for node in graph:
        connected = {
            field for *_, data in graph.in_edges(node, data=True) for _, field in data["connect"]
        }
        mandatory = node.inputs.traits(mandatory=True)
        unset = {name for name in mandatory if not isdefined(getattr(node.inputs, name))}
        assert unset <= connected
        assert ("probabilities" in connected) == (probabilities and node.name == "write")


def test_threads_and_memory_reach_the_networks(
    station: Station, settings: Settings, networks: Networks
) -> None:
    settings = replace(settings, omp_nthreads=3, memory=5 * GIB)
    segment = init_station_wf(station, settings, networks).get_node("segment")
    assert (segment.n_procs, segment.mem_gb) == (3, 5)
    assert (segment.inputs.num_threads, segment.inputs.memory) == (3, 5 * GIB)
    assert not segment.is_gpu_node()


def test_networks_on_a_gpu_take_a_gpu_slot(
    station: Station, settings: Settings, networks: Networks
) -> None:
    on_gpu = replace(networks, engine="torch", device="cuda:0")
    workflow = init_station_wf(station, settings, on_gpu)
    assert [workflow.get_node(name).is_gpu_node() for name in ("segment", "merge")] == [
        True,
        False,
    ]


def test_threads_and_memory_do_not_change_the_hash_of_a_step(
    station: Station, settings: Settings, networks: Networks
) -> None:
    hashes = set()
    for threads, memory in ((1, GIB), (4, 8 * GIB)):
        varied = replace(settings, omp_nthreads=threads, memory=memory)
        node = init_station_wf(station, varied, networks).get_node("segment")
        hashes.add(node.inputs.get_hashval()[1])
    assert len(hashes) == 1


def test_crash_files_go_to_the_log_folder_of_the_participant(
    station: Station, settings: Settings, networks: Networks
) -> None:
    workflow = init_station_wf(station, settings, networks)
    folders = {workflow.get_node(step).config["execution"]["crashdump_dir"] for step in STEPS}
    assert folders == {str(settings.output_dir / "logs" / "sub-01")}


def test_stations_are_independent(
    station: Station, settings: Settings, networks: Networks, tmp_path: Path
) -> None:
    other = moved_to_chunk_2(station)
    sets = [StationSet((station,)), StationSet((other,))]
    graph = init_legseg_wf(sets, settings, networks, tmp_path)._create_flat_graph()
    assert len(graph) == 2 * len(STEPS)
    assert all(a._hierarchy == b._hierarchy for a, b in graph.edges)
    assert station_name(station) != station_name(other)


def test_stations_of_a_set_meet_where_they_are_located(
    station: Station, settings: Settings, networks: Networks, tmp_path: Path
) -> None:
    other = moved_to_chunk_2(station)
    members = StationSet((station, other))
    graph = init_legseg_wf([members], settings, networks, tmp_path)._create_flat_graph()
    assert len(graph) == 2 * len(STEPS) + 1
    (gather,) = (node for node in graph if node.name == "gather")
    assert [node.name for node in graph.predecessors(gather)] == ["classify"] * 2
    assert [node.name for node in graph.successors(gather)] == ["locate"] * 2
    owners = {
        name: {n for n in graph if name in n.fullname}
        for name in map(station_name, members.stations)
    }
    first, second = owners.values()
    assert not [(a, b) for a, b in graph.edges if a in first and b in second]
    assert len(first) == len(second) == len(STEPS)


def test_a_station_that_is_done_is_only_looked_at(
    station: Station, settings: Settings, networks: Networks, tmp_path: Path
) -> None:
    other = moved_to_chunk_2(station)
    members = [StationSet((station, other))]
    todo = {other.output_name}
    graph = init_legseg_wf(members, settings, networks, tmp_path, todo=todo)._create_flat_graph()
    done = [node.name for node in graph if node._hierarchy.endswith(station_name(station))]
    assert sorted(done) == ["classify", "prepare"]
    assert len(graph) == len(STEPS) + 3
    nothing = init_legseg_wf(members, settings, networks, tmp_path, todo=())
    assert len(nothing._create_flat_graph()) == 0


def moved_to_chunk_2(station: Station) -> Station:
    source = station.source.with_name("sub-01_acq-outphase_chunk-2_T1w.nii")
    return replace(station, source=source, output_name="")
