"""What the tools of the desk do to voxels, against numpy and scipy, in a real browser."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

STATIC = Path(__file__).parents[2] / "legseg_bids" / "desk" / "static"
PLACE = "http://desk.test"
SHAPE = (23, 17, 6)
SPACING = (2.0, 3.0, 10.0)
GRID = {"size": list(SHAPE), "spacing": list(SPACING)}
# The script's own names of the modules, then a call that is a function of one argument.
SCRIPT = """async ([call, argument]) => {
    const drawing = await import("/static/drawing.js");
    const { History } = await import("/static/history.js");
    const nifti = await import("/static/nifti.js");
    const { Tally } = await import("/static/tally.js");
    return (%s)(argument);
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """An empty page of an origin that has the modules, and nothing else."""
    page = browser.new_page()

    def answer(route: Any) -> None:
        name = route.request.url.removeprefix(f"{PLACE}/static/")
        path = STATIC / name
        if path.is_file() and path.suffix == ".js":
            route.fulfill(body=path.read_text(encoding="utf-8"), content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    page.route(f"{PLACE}/**", answer)
    page.goto(f"{PLACE}/")
    yield page
    page.close()


@pytest.fixture
def run(page: Any) -> Any:
    """Call a function of the page with one argument."""

    def call(function: str, argument: Any) -> Any:
        return page.evaluate(SCRIPT % function, ["", argument])

    return call


def flat(labels: np.ndarray) -> list[int]:
    """As the modules hold a volume: x runs fastest."""
    return [int(v) for v in labels.ravel(order="F")]


def volume(values: Any, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.array(values, np.int64).reshape(shape, order="F")


def marked(indices: Any, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """The voxels of a list of indices, as a mask."""
    found = np.zeros(np.prod(shape), bool)
    found[np.array(indices, int)] = True
    return found.reshape(shape, order="F")


def patches(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Labels that hang together in places."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2)
    return np.digitize(noise, np.quantile(noise, [0.5, 0.75])).astype(np.uint8)


def away(shape: tuple[int, ...], spacing: tuple[float, ...], first: Any, last: Any) -> np.ndarray:
    """Distance (mm) of each voxel's centre to the way between two voxels."""
    points = np.moveaxis(np.indices(shape).astype(float), 0, -1) * spacing
    a, b = np.multiply(first, spacing), np.multiply(last, spacing)
    way, long = b - a, float(((b - a) ** 2).sum())
    share = np.clip(((points - a) @ way) / long, 0, 1) if long else np.zeros(shape)
    return np.linalg.norm(points - a - share[..., None] * way, axis=-1)


STROKE = """({ grid, first, last, axis, radius }) =>
    [...drawing.stroke(grid, first, last, axis, radius)]"""


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("radius", [4.0, 7.5, 21.0])
def test_a_stroke_is_all_within_its_radius_and_in_its_slice(
    run: Any, axis: int, radius: float
) -> None:
    rng = np.random.default_rng(int(radius * 10) + axis)
    for _ in range(6):
        first, last = (rng.integers(0, SHAPE) for _ in range(2))
        last[axis] = first[axis]
        ends = {"first": first.tolist(), "last": last.tolist()}
        drawn = marked(run(STROKE, {"grid": GRID, "axis": axis, "radius": radius, **ends}))
        wanted = away(SHAPE, SPACING, first, last) <= radius + 1e-6
        wanted &= np.indices(SHAPE)[axis] == first[axis]
        centre_line = drawn & ~wanted  # voxels on the way that a thin brush would miss
        assert not (wanted & ~drawn).any()
        assert away(SHAPE, SPACING, first, last)[centre_line].max(initial=0) <= max(SPACING)
        assert (np.argwhere(drawn)[:, axis] == first[axis]).all()


def test_the_thinnest_brush_draws_a_line_without_gaps(run: Any) -> None:
    ends = {"first": [2, 3, 1], "last": [20, 11, 1]}
    drawn = marked(run(STROKE, {"grid": GRID, "axis": 2, "radius": 0.5, **ends}))
    assert drawn[2, 3, 1]
    assert drawn[20, 11, 1]
    assert drawn.sum() == 19  # one for each step of the longer way
    assert ndimage.label(drawn, np.ones((3, 3, 3)))[1] == 1


def test_a_brush_at_the_border_stays_inside(run: Any) -> None:
    ends = {"first": [0, 0, 0], "last": [0, 0, 0]}
    drawn = marked(run(STROKE, {"grid": GRID, "axis": 2, "radius": 5, **ends}))
    assert np.argwhere(drawn).max(axis=0).tolist() == [2, 1, 0]


REGION = """({ grid, labels, seed, axis }) => {
    const found = drawing.region(grid, Uint8Array.from(labels), seed, axis);
    return [[...found.indices], found.open];
}"""


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_region_is_what_hangs_together_in_the_slice(run: Any, axis: int) -> None:
    labels = patches(axis)
    rng = np.random.default_rng(axis)
    for _ in range(5):
        seed = rng.integers(0, SHAPE)
        given = {"grid": GRID, "labels": flat(labels), "seed": seed.tolist(), "axis": axis}
        indices, is_open = run(REGION, given)
        plane = np.take(labels, seed[axis], axis)
        place = tuple(np.delete(seed, axis))
        parts = ndimage.label(plane == plane[place])[0]
        wanted = parts == parts[place]
        assert np.array_equal(np.take(marked(indices), seed[axis], axis), wanted)
        assert marked(indices).sum() == wanted.sum()
        edge = np.pad(np.zeros(np.subtract(plane.shape, 2), bool), 1, constant_values=True)
        assert is_open == bool((wanted & edge).any())


PAINTED = """({ labels, indices, value, only, mask }) => {
    const rules = { only: only && new Set(only), mask: mask && Uint8Array.from(mask) };
    const all = Uint8Array.from(labels);
    const edit = drawing.painted(all, Uint32Array.from(indices), value, rules);
    drawing.apply(all, edit);
    const after = [...all];
    drawing.apply(all, edit, true);
    return [after, [...all], edit.indices.length];
}"""


@pytest.mark.parametrize("only", [None, [0, 2], [1]])
@pytest.mark.parametrize("masked", [False, True])
def test_painting_changes_what_it_may_and_nothing_else(
    run: Any, only: list[int] | None, masked: bool
) -> None:
    labels = patches(4)
    rng = np.random.default_rng(5)
    where, mask = rng.random(SHAPE) < 0.3, rng.random(SHAPE) < 0.5
    given = {
        "labels": flat(labels),
        "indices": np.flatnonzero(where.ravel(order="F")).tolist(),
        "value": 2,
        "only": only,
        "mask": flat(mask) if masked else None,
    }
    after, before, count = run(PAINTED, given)
    may = where & (np.isin(labels, only) if only else True) & (mask if masked else True)
    wanted = np.where(may, 2, labels)
    assert np.array_equal(volume(after), wanted)
    assert np.array_equal(volume(before), labels)
    assert count == (wanted != labels).sum()


SIGNED = "(slice) => [...drawing.signedDistance({...slice, mask: Uint8Array.from(slice.mask)})]"


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_exact(run: Any, seed: int) -> None:
    mask = patches(seed, (19, 31)) > 0
    spacing = (1.5, 4.0)
    given = {"mask": flat(mask), "width": 19, "height": 31, "spacing": spacing}
    found = np.array(run(SIGNED, given)).reshape(mask.shape, order="F")
    wanted = ndimage.distance_transform_edt(mask, spacing)
    wanted -= ndimage.distance_transform_edt(~mask, spacing)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


INTERPOLATED = """({ grid, labels, value, axis, low, high, only }) => {
    const all = Uint8Array.from(labels);
    const rules = { only: only && new Set(only) };
    const edit = drawing.interpolated(grid, all, value, axis, low, high, rules);
    drawing.apply(all, edit);
    return [...all];
}"""


def discs(first: tuple[float, float, float], last: tuple[float, float, float]) -> np.ndarray:
    """Discs (x, y, radius; mm) of label 1 in the lowest and in the highest slice."""
    labels = np.zeros((40, 30, 5), np.uint8)
    x, y = np.meshgrid(np.arange(40) * 2.0, np.arange(30) * 2.0, indexing="ij")
    for z, (u, v, radius) in ((0, first), (4, last)):
        labels[..., z][np.hypot(x - u, y - v) <= radius] = 1
    return labels


def test_between_two_slices_a_shape_goes_straight_from_one_to_the_other(run: Any) -> None:
    ends = ((20.0, 20.0, 12.0), (56.0, 36.0, 16.0))
    labels = discs(*ends)
    labels[30, 15, 2] = 1  # what was there before goes
    grid = {"size": [40, 30, 5], "spacing": [2, 2, 10]}
    given = {"grid": grid, "labels": flat(labels), "value": 1, "axis": 2, "low": 0, "high": 4}
    found = volume(run(INTERPOLATED, given), (40, 30, 5))
    assert np.array_equal(found[..., [0, 4]], labels[..., [0, 4]])
    x, y = np.meshgrid(np.arange(40) * 2.0, np.arange(30) * 2.0, indexing="ij")
    for z in (1, 2, 3):
        u, v, radius = np.add(np.multiply(ends[0], 1 - z / 4), np.multiply(ends[1], z / 4))
        wanted = np.hypot(x - u, y - v) <= radius
        drawn = found[..., z] == 1
        overlap = 2 * (wanted & drawn).sum() / (wanted.sum() + drawn.sum())
        assert overlap > 0.95


ALONE = """({ grid, labels, share }) => {
    const all = Uint8Array.from(labels);
    const [first, second] = [0, 4].map((at) => drawing.sliceOf(grid, all, 1, 2, at));
    return [...drawing.between(first, second, share).mask];
}"""


def test_where_shapes_lie_in_the_slice_does_not_matter(run: Any) -> None:
    labels = discs((4.0, 6.0, 9.0), (70.0, 50.0, 13.0))  # both reach the border
    grid = {"size": [40, 30, 5], "spacing": [2, 2, 10]}
    given = {"grid": grid, "labels": flat(labels), "value": 1, "axis": 2, "low": 0, "high": 4}
    found = volume(run(INTERPOLATED, given), (40, 30, 5))
    for z in (1, 2, 3):
        whole = run(ALONE, {"grid": grid, "labels": flat(labels), "share": z / 4})
        assert np.array_equal(found[..., z], volume(whole, (40, 30)))


def test_between_two_slices_others_are_protected(run: Any) -> None:
    labels = discs((40.0, 30.0, 14.0), (40.0, 30.0, 14.0))
    labels[18:22, 13:17, 2] = 7
    grid = {"size": [40, 30, 5], "spacing": [2, 2, 10]}
    given = {"grid": grid, "labels": flat(labels), "value": 1, "axis": 2, "low": 0, "high": 4}
    kept = volume(run(INTERPOLATED, {**given, "only": [0, 1]}), (40, 30, 5))
    assert np.array_equal(kept == 7, labels == 7)
    assert not (volume(run(INTERPOLATED, given), (40, 30, 5)) == 7).any()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 3), (0, 3)])
def test_nothing_to_interpolate_is_said(run: Any, low: int, high: int) -> None:
    labels = discs((40.0, 30.0, 14.0), (40.0, 30.0, 14.0))
    grid = {"size": [40, 30, 5], "spacing": [2, 2, 10]}
    given = {"grid": grid, "labels": flat(labels), "value": 1, "axis": 2, "low": low, "high": high}
    function = f"(g) => {{ try {{ ({INTERPOLATED})(g); }} catch (e) {{ return e.message; }} }}"
    assert run(function, given) in (
        "There is no slice between the two.",
        "The structure must be drawn in both slices.",
    )


NEIGHBOURS = "({ slices, drawn, at }) => drawing.neighbours(slices, new Set(drawn), at)"


@pytest.mark.parametrize(
    ("slices", "drawn", "at", "wanted"),
    [
        ([0, 1, 2, 3, 4, 5], [1, 4], 2, [1, 4]),  # those that the person drew
        ([0, 1, 2, 3], [2], 2, [1, 3]),  # else those that hold the structure
        ([0, 5], [], 3, [0, 5]),
        ([0, 1], [0, 1], 4, None),
        ([], [], 4, None),
    ],
)
def test_which_slices_are_filled_between(
    run: Any, slices: list[int], drawn: list[int], at: int, wanted: list[int] | None
) -> None:
    assert run(NEIGHBOURS, {"slices": slices, "drawn": drawn, "at": at}) == wanted


COUNTED = """({ grid, labels, value }) => {
    const all = Uint8Array.from(labels);
    const middle = drawing.middleOf(grid, all, value);
    return [[...drawing.counts(all)], middle, drawing.slicesWith(grid, all, value, 2)];
}"""


def test_what_is_there_is_counted_and_found(run: Any) -> None:
    labels = patches(9)
    counted, middle, slices = run(COUNTED, {"grid": GRID, "labels": flat(labels), "value": 2})
    assert counted == np.bincount(labels.ravel(), minlength=256).tolist()
    areas = (labels == 2).sum(axis=(0, 1))
    assert labels[tuple(middle)] == 2
    assert areas[middle[2]] == areas.max()
    assert slices == np.flatnonzero(areas).tolist()
    assert run(COUNTED, {"grid": GRID, "labels": flat(labels), "value": 99})[1:] == [None, []]


TALLIED = """({ grid, labels, strokes }) => {
    const all = Uint8Array.from(labels);
    const saved = all.slice();
    const tally = new Tally(grid, all, saved);
    const seen = [];
    const look = () => seen.push([[...tally.volumes()], tally.differing]);
    const edits = strokes.map(([indices, value]) => {
        const edit = drawing.painted(all, Uint32Array.from(indices), value);
        drawing.apply(all, edit);
        tally.take(edit);
        return edit;
    });
    look();
    const fresh = new Tally(grid, all, saved);
    seen.push([[...fresh.volumes()], fresh.differing]);
    drawing.apply(all, edits.at(-1), true);
    tally.take(edits.at(-1), true);
    look();
    return [seen, [...all]];
}"""


def test_volumes_are_kept_up_to_date_without_counting_again(run: Any) -> None:
    labels = patches(3)
    rng = np.random.default_rng(8)
    strokes = [[rng.choice(labels.size, 300, replace=False).tolist(), v] for v in (1, 2, 0)]
    given = {"grid": GRID, "labels": flat(labels), "strokes": strokes}
    (kept, fresh, undone), after = run(TALLIED, given)
    assert kept[1] == fresh[1]
    np.testing.assert_allclose(kept[0], fresh[0])
    volumes = np.bincount(after, minlength=256) * np.prod(SPACING) / 1000
    np.testing.assert_allclose(undone[0], volumes)
    assert undone[1] == (volume(after) != labels).sum()


BODY = "({ grid, values }) => [...drawing.bodyMask(grid, Float32Array.from(values))]"


def test_the_body_is_what_the_outside_does_not_reach(run: Any) -> None:
    rng = np.random.default_rng(2)
    x, y, _ = np.indices(SHAPE)
    disc = np.hypot(x - 11, (y - 8) * 1.2) < 7
    image = np.where(disc, 200.0, 0) + rng.uniform(0, 8, SHAPE)
    image[11, 8] = 0  # a dark bone is in the body
    found = volume(run(BODY, {"grid": GRID, "values": image.ravel(order="F").tolist()}))
    assert np.array_equal(found.astype(bool), disc)


HISTORY = """({ labels, strokes, moves, saved }) => {
    const all = Uint8Array.from(labels);
    const history = new History();
    const seen = [[...all]];
    for (const [indices, value] of strokes) {
        const edit = drawing.painted(all, Uint32Array.from(indices), value);
        drawing.apply(all, edit);
        history.push({ ...edit, name: String(value) });
        seen.push([...all]);
    }
    const ok = [];
    for (const move of moves) {
        const done = move < 0 ? history.undo(all) : history.redo(all);
        ok.push(all.every((v, i) => v === seen[history.position][i]) && Boolean(done));
    }
    history.markSaved(saved);
    const other = Uint8Array.from(seen[saved]);
    const taken = History.unpack(history.pack(), other);
    const same = other.every((v, i) => v === all[i]);
    const [one] = strokes[0][0];
    other[one] += 1;
    const foreign = History.unpack(history.pack(), other);
    return [ok, history.position, same, taken.position, taken.saved, taken.edits.length, foreign];
}"""


@pytest.mark.parametrize("saved", [1, 2, 5])
def test_undo_and_redo_lead_back_and_forth_and_over_a_reload(run: Any, saved: int) -> None:
    rng = np.random.default_rng(saved)
    labels = patches(1)
    # Every stroke changes at least the voxel that only it has.
    strokes = [
        [sorted({i, *rng.integers(0, labels.size, 60).tolist()}), 100 + i] for i in range(5)
    ]
    moves = [-1, -1, 1, -1, -1, -1, 1, 1, -1]
    given = {"labels": flat(labels), "strokes": strokes, "moves": moves, "saved": saved}
    moved, position, same, *taken = run(HISTORY, given)
    assert all(moved)
    assert position == 5 + sum(moves)
    assert same
    # Labels that somebody else has changed are not those of this history.
    assert taken == [position, saved, 5, None]


FORGETTING = """({ limit }) => {
    const all = new Uint8Array(1000);
    const history = new History(limit);
    for (let k = 0; k < 10; k++) {
        const indices = Uint32Array.from({ length: 100 }, (_, i) => i + 100 * k);
        const edit = drawing.painted(all, indices, 1);
        drawing.apply(all, edit);
        history.push(edit);
        if (k === 3) history.markSaved();
    }
    const count = history.edits.length;
    while (history.undo(all)) { /* all the way */ }
    return [count, history.saved, all.reduce((a, b) => a + b, 0)];
}"""


def test_the_oldest_edits_are_forgotten_first(run: Any) -> None:
    assert run(FORGETTING, {"limit": 10**6}) == [10, 4, 0]
    count, saved, left = run(FORGETTING, {"limit": 3 * 664})
    assert count == 3
    assert saved is None  # what was saved cannot be reached by undoing any more
    assert left == 700


NIFTI = """async ({ file, turn, add }) => {
    const bytes = await nifti.gunzip(Uint8Array.from(file));
    const labels = nifti.readLabels(bytes, turn);
    const written = nifti.writeLabels(bytes, labels.map((v) => v + add), turn);
    return [[...labels], [...await nifti.gzip(written)]];
}"""


def turn_of(affine: np.ndarray, shape: tuple[int, ...]) -> dict[str, list[int]]:
    """How a file's axes run, by nibabel, as NiiVue would tell it."""
    axes = nib.io_orientation(affine)
    strides = np.cumprod((1, *shape[:2]))
    size, step, start = [0] * 3, [0] * 3, [0] * 3
    for own, (canonical, flip) in enumerate(axes.astype(int)):
        size[canonical] = int(shape[own])
        step[canonical] = int(strides[own] * flip)
        start[canonical] = int(strides[own] * (shape[own] - 1)) if flip < 0 else 0
    return {"size": size, "step": step, "start": start}


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("order", ["<", ">"])
def test_label_files_keep_their_header_and_their_axes(
    run: Any, tmp_path: Path, kind: Any, order: str
) -> None:
    turns = list(itertools.product(itertools.permutations(range(3)), [1, -1], [1, -1], [1, -1]))
    rng = np.random.default_rng(0)
    for n in rng.choice(len(turns), 4, replace=False):
        axes, *signs = turns[n]
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, list(axes)] * np.multiply(signs, SPACING)
        affine[:3, 3] = rng.normal(size=3)
        header = nib.Nifti1Header(endianness=order)
        header.set_data_dtype(np.dtype(kind).newbyteorder(order))
        image = nib.Nifti1Image(patches(int(n)), affine, header)
        path = tmp_path / f"{n}.nii"
        nib.save(image, path)
        bytes_ = path.read_bytes()
        packed = gzip.compress(bytes_) if n % 2 else bytes_
        given = {"file": list(packed), "turn": turn_of(affine, SHAPE), "add": 3}
        labels, written = run(NIFTI, given)
        canonical = np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)
        assert np.array_equal(volume(labels, canonical.shape), canonical)
        again = gzip.decompress(bytes(written))
        assert again[:352] == bytes_[:352]
        reread = nib.Nifti1Image.from_bytes(again)
        assert np.array_equal(np.asarray(reread.dataobj), patches(int(n)) + 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not a NIfTI-1 file"), (b"<html>" * 100, "not a NIfTI-1 file"), (None, "type 32")],
)
def test_what_is_no_label_file_is_said(run: Any, content: bytes | None, said: str) -> None:
    if content is None:
        content = nib.Nifti1Image(np.zeros(SHAPE, np.complex64), np.eye(4)).to_bytes()
    function = """(file) => {
        try { nifti.headerOf(Uint8Array.from(file)); } catch (error) { return error.message; }
    }"""
    assert said in run(function, list(content))
