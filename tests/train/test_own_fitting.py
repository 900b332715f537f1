"""Training, resuming, stopping, and all that goes wrong on the way."""

from __future__ import annotations

import csv
import shutil
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from labelled import SCHEME, drawn, recipe_text, write_labelled

from legseg_bids.errors import LegsegError, ModelError, OutputError, UsageError
from legseg_bids.interfaces.prepare import prepare
from legseg_bids.networks import create
from legseg_bids.train.own import checkpoints, fitting, journal
from legseg_bids.train.own.building import Design, inherit, receptive_radius, step_of
from legseg_bids.train.own.fitting import TrainingFailed
from legseg_bids.train.own.recipe_file import read_recipe
from legseg_bids.train.own.training import (
    Ready,
    fit_fold,
    fit_task,
    make_ready,
    write_folds,
)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these networks do."""
    monkeypatch.setattr(journal, "draw_curves", lambda *_: None)
    monkeypatch.setattr(journal, "draw_looks", lambda *_: None)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("own") / "a", 3)


def made(study: Path, run: Path, text: str | None = None, **tables: str) -> Ready:
    import tomllib

    table = tomllib.loads(text or recipe_text(study.name, **tables))
    recipe = read_recipe(table, "mine", study.parent)
    return make_ready(recipe, run, prepare, lambda _: None)


def fitted(ready: Ready, fold: int = 0):
    said: list[str] = []
    return (*fit_fold(ready, fold, "cpu", said.append), said)


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


def test_a_training_leaves_checkpoints_tables_and_pictures(study: Path, tmp_path: Path) -> None:
    ready = made(study, tmp_path, split="folds = 2\ntest = ['03']")
    _, result, said = fitted(ready)
    folder = tmp_path / "fold-0"
    assert (result.epochs, result.steps, result.why) == (2, 4, "the schedule is over")
    log = rows(folder)
    assert [row["epoch"] for row in log] == ["1", "2"]
    assert 0 <= float(log[-1]["dice"]) <= 1
    assert "Rectus femoris" in log[-1]
    assert sorted(p.name for p in folder.rglob("*.png")) == [
        "curves.png",
        "epoch-0001.png",
        "epoch-0002.png",
    ]
    assert (folder / "test.csv").read_text().splitlines()[-1].startswith("mean,")
    split = (folder / "split.tsv").read_text().splitlines()
    assert split[0] == "participant_id\tpart"
    assert "sub-03\ttest" in split
    assert len(split) == 4
    assert not list(tmp_path.rglob("*.tmp"))
    assert any("test participants" in line for line in said)
    assert write_folds(ready, [result, result]).read_text().splitlines()[-1].endswith("(0.0000)")


@pytest.mark.usefixtures("_no_pictures")
def test_steps_make_the_dice_better(study: Path, tmp_path: Path) -> None:
    augment = "[augment.brightness]\nshift = [-0.05, 0.05]"
    text = recipe_text(study.name, schedule="epochs = 3\nsteps = 25", top="batch = 3")
    _, result, _ = fitted(made(study, tmp_path, text + augment))
    assert result.dice > 0.6


@pytest.mark.usefixtures("_no_pictures")
def test_an_interrupted_training_ends_as_if_nothing_had_happened(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = "epochs = 3\nsteps = 2"
    _, whole, _ = fitted(made(study, tmp_path / "whole", schedule=schedule))
    ready = made(study, tmp_path / "cut", schedule=schedule)
    save = checkpoints.save

    def killed(state, folder, recipe):
        if state.epoch == 2:
            raise KeyboardInterrupt
        save(state, folder, recipe)

    monkeypatch.setattr(checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(ready)
    monkeypatch.undo()
    _, resumed, said = fitted(ready)
    assert any("going on after epoch 1" in line for line in said)
    assert (resumed.dice, resumed.steps) == (pytest.approx(whole.dice, abs=1e-6), whole.steps)
    both = [checkpoints.read(tmp_path / n / "fold-0/last.pt")["network"] for n in ("whole", "cut")]
    for key, value in both[0].items():
        torch.testing.assert_close(value, both[1][key], msg=key)
    assert [r["epoch"] for r in rows(tmp_path / "cut/fold-0")] == ["1", "2", "3"]
    _, again, _ = fitted(ready)  # over: nothing is trained
    assert again.steps == whole.steps


@pytest.mark.usefixtures("_no_pictures")
def test_it_stops_when_nothing_gets_better(study: Path, tmp_path: Path) -> None:
    table = 'kind = "plateau"\nepochs = 9\nsteps = 1\nstop_after = 2\npatience = 1\nfactor = 0.5'
    ready = made(study, tmp_path, schedule=table, optimiser='name = "sgd"\nlearning_rate = 1e-9')
    _, result, _ = fitted(ready)
    assert result.why == "no better Dice for 2 epochs"
    assert result.epochs < 9
    log = rows(tmp_path / "fold-0")
    assert float(log[-1]["learning_rate"]) < float(log[0]["learning_rate"])


@pytest.mark.usefixtures("_no_pictures")
def test_time_ends_it_too(study: Path, tmp_path: Path) -> None:
    _, result, _ = fitted(made(study, tmp_path, schedule="minutes = 1e-9\nsteps = 50"))
    assert (result.epochs, result.steps) == (1, 1)


@pytest.mark.usefixtures("_no_pictures")
@pytest.mark.parametrize(
    "optimiser",
    [
        'name = "adam"\namsgrad = true',
        'name = "adamw"\namsgrad = false',
        'name = "sgd"\nclip = 0.0',
    ],
)
def test_optimisers_move_the_weights(study: Path, tmp_path: Path, optimiser: str) -> None:
    ready = made(
        study,
        tmp_path,
        optimiser=optimiser,
        schedule="epochs = 1\nsteps = 2",
        top="input_dropout = 0.2\nbf16 = false",
    )
    task, _, _ = fitted(ready)
    torch.manual_seed(task.recipe.seed)
    before = task.design.build().state_dict()
    after = checkpoints.read(tmp_path / "fold-0/last.pt")["network"]
    assert not torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_trains_and_goes_on(study: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        ready = made(study, tmp_path, schedule=f"epochs = {epochs}\nsteps = 2", top="workers = 1")
        _, result = fit_fold(ready, 0, "cuda", print)
        assert result.epochs == epochs


@pytest.mark.usefixtures("_no_pictures")
def test_tensorboard_shows_the_figures_if_it_is_there(study: Path, tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fitted(made(study, tmp_path))
    board = reading.EventAccumulator(str(tmp_path / "fold-0/tensorboard"))
    board.Reload()
    log = rows(tmp_path / "fold-0")
    for key in ("dice/Rectus femoris", "loss"):
        seen = board.Scalars(key)
        assert [one.step for one in seen] == [2, 4]
        written = [float(row[key.rpartition("/")[2]]) for row in log]
        assert [one.value for one in seen] == pytest.approx(written, rel=1e-5)


def test_without_tensorboard_nothing_is_missing(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert journal.Journal(tmp_path, (0,))._board is None


# ------------------------------------------------------------------ imagenet


def test_an_encoder_begins_with_imagenet_weights_by_the_recipe(
    study: Path, tmp_path: Path
) -> None:
    network = 'name = "SliceBySlice"\nnetwork = {name = "ResNet34UNet", decoder = [4, 4, 4, 4, 4]}'
    torch.manual_seed(3)
    encoder = create("ResNet34UNet", inputs=3, decoder=(4, 4, 4, 4, 4)).encoder
    weights = encoder.state_dict() | {"fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}
    torch.save(weights, study.parent / "resnet34.pth")
    tables = {"network": network, "start": 'imagenet = "resnet34.pth"'}
    ready = made(study, tmp_path, **tables, grid="spacing = [6.0, 6.0, 10.0]\npatch = [1, 32, 32]")
    state = fitting.begin(fit_task(ready, 0, "cpu", print))
    own = state.network.flat.encoder.state_dict()
    assert torch.equal(own["layer4.2.conv2.weight"], weights["layer4.2.conv2.weight"])


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        ('imagenet = "none.pth"', UsageError, "has no ResNet-34 encoder"),
        ('imagenet = "none.pth"\nbundle = "thigh"', UsageError, "both `bundle` and `imagenet`"),
    ],
)
def test_imagenet_weights_for_nobody(
    study: Path, tmp_path: Path, start: str, error: type[LegsegError], message: str
) -> None:
    with pytest.raises(error, match=message):
        fitted(made(study, tmp_path, start=start))


# ------------------------------------------------------------- partial labels


@pytest.mark.usefixtures("_no_pictures")
def test_two_datasets_that_name_different_muscles(tmp_path: Path) -> None:
    """Each class is learnt from the images where somebody drew it."""
    for name, first, numbers in (("a", 1, (61, 62)), ("b", 11, (31, 32))):
        labels = np.where(np.isin(drawn(), numbers), drawn(), 0).astype(np.int16)
        names = {n: SCHEME[n] for n in numbers}
        write_labelled(tmp_path / name, 2, names, labels, first)
    text = recipe_text(
        "a", "b", split="validation = ['02', '12']", top='loss = "masked_cross_entropy"'
    )
    text = text.replace("epochs = 2\nsteps = 2", "epochs = 3\nsteps = 25")
    import tomllib

    recipe = read_recipe(tomllib.loads(text), "mine", tmp_path)
    ready = make_ready(recipe, tmp_path / "run", prepare, lambda _: None)
    assert {limb.drawn for limb in ready.limbs} == {(61,), (31,)}
    assert ready.channels == (0, 31, 61, -1)
    fitted(ready)
    last = rows(tmp_path / "run")[-1]
    assert min(float(last["Rectus femoris"]), float(last["Biceps femoris long head"])) > 0.5


# ------------------------------------------------------------------ bad input


def missing_class(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(made(study, run, top='classes = ["RF", "Sartorius"]'))


def nothing_to_validate(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = made(study, run)
    people = ready.groups(0).validation
    limbs = [
        replace(limb, voxels={"0": 9}) if limb.participant in people else limb
        for limb in ready.limbs
    ]
    fitted(replace(ready, limbs=tuple(limbs)))


def nan_loss(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = made(study, run, schedule="epochs = 1\nsteps = 9")
    for path in (run / "limbs").glob("*image.npy"):
        np.save(path, np.load(path) * np.float32("nan"))
    fitted(ready)


def other_architecture(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(made(study, run))
    ready = made(study, run)
    network = {**ready.recipe.network, "features": [4, 8]}
    fitted(replace(ready, recipe=replace(ready.recipe, network=network)))


def other_bundle(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(made(study, run, start='bundle = "thigh"'))


def dead_worker(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(*_):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        yield

    monkeypatch.setattr(fitting, "batches", stream)
    fitted(made(study, run))


def no_folder(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "fold-0").write_text("a file")
    fitted(made(study, run))


def no_device(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    fit_fold(made(study, run), 0, "cuda", print)


def no_space(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    fitted(made(study, run))


def space_runs_out(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content, file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    fitted(made(study, run))


def damaged(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "fold-0").mkdir(parents=True)
    (run / "fold-0/last.pt").write_bytes(b"half a checkpoint")
    fitted(made(study, run))


def other_recipe(study: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(made(study, run))
    fitted(made(study, run, top="seed = 7"))


BAD = [
    (missing_class, UsageError, "no voxel of Sartorius in the whole training set"),
    (nothing_to_validate, UsageError, "no class occurs in the validation set"),
    (nan_loss, TrainingFailed, "NaN or infinite 5 steps in a row.*lower the learning rate"),
    (other_architecture, ModelError, "weights of another architecture.*of the recipe"),
    (other_bundle, ModelError, "weights of another architecture"),
    (dead_worker, TrainingFailed, "killed by signal.*fewer `workers`"),
    (no_folder, OutputError, "fold-0 cannot be written"),
    (no_device, UsageError, "finds no CUDA device; use --device cpu"),
    (lambda s, r, m: fit_fold(made(s, r), 0, "tpu", print), UsageError, "expected cpu, cuda"),
    (no_space, OutputError, "has 0 MiB left; expected"),
    (space_runs_out, OutputError, "No space left on device.*free space"),
    (damaged, ModelError, "last.pt cannot be read.*begin anew"),
    (other_recipe, UsageError, "begun with another 'seed'"),
    (lambda s, r, m: fitted(made(s, r, grid="patch = [4, 23, 24]")), UsageError,
     r"patch = \[4, 23, 24\]; expected multiples of \[1, 2, 2\]"),
    (lambda s, r, m: fitted(made(s, r, network='name = "UNet3000"')), UsageError,
     "unknown network 'UNet3000'; expected one of AttentionUNet"),
    (lambda s, r, m: fitted(made(s, r, network='name = "UNet2d"\nfeatures = [4, 6]')), UsageError,
     "works on 2-D images; expected a 3-D network; wrap it"),
    (lambda s, r, m: fitted(made(s, r, network='name = "UNet2d"\ncolour = 3')), UsageError,
     "network.*colour"),
    (lambda s, r, m: made(s, r, top='augment = "arms"'), UsageError, "no augmentation 'arms'"),
    (lambda s, r, m: fitted(made(s, r, top='loss = "mice"')), UsageError, "unknown loss 'mice'"),
]  # fmt: skip


@pytest.mark.usefixtures("_no_pictures")
@pytest.mark.parametrize(
    ("spoil", "kind", "said"), BAD, ids=[getattr(b[0], "__name__", "") for b in BAD]
)
def test_bad_input_is_said(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil, kind, said: str
) -> None:
    with pytest.raises(LegsegError, match=said) as error:
        spoil(study, tmp_path, monkeypatch)
    assert type(error.value) is kind


@pytest.mark.usefixtures("_no_pictures")
def test_a_failed_write_leaves_the_last_checkpoint(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(made(study, tmp_path))
    before = (tmp_path / "fold-0/last.pt").read_bytes()

    def full(content, file):
        file.write(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(OutputError, match="PytorchStreamWriter"):
        fitted(made(study, tmp_path, schedule="epochs = 3\nsteps = 2"))
    assert (tmp_path / "fold-0/last.pt").read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.usefixtures("_no_pictures")
def test_one_spoilt_batch_is_left_out(study: Path, tmp_path: Path) -> None:
    ready = made(study, tmp_path)
    task, _, _ = fitted(ready)
    state = fitting.begin(task)
    before = {k: v.clone() for k, v in state.network.state_dict().items() if "running" not in k}
    patches = fitting.Patches(task.recipe, task.limbs, task.limbs_dir, task.design.channels)
    batch = next(fitting.batches(patches, 0, 0))
    spoilt = replace(batch, image=batch.image * float("inf"))
    loss = fitting.LossSum("dice + cross_entropy")
    assert np.isnan(fitting.step(task.recipe, state, spoilt, loss, 1.0, "cpu"))
    after = state.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if "num_batches" not in k)


# ------------------------------------------------------- weights to begin with


def test_classes_begin_as_the_same_or_as_told() -> None:
    plan = inherit((0, 55, 61, -1), (0, 61, 57, -1), {"VL": "Vastus intermedius"})
    assert plan.sources == (0, 2, 1, 3)
    assert inherit((0, 55), (0, 61), {}).sources == (0, None)
    with pytest.raises(UsageError, match=r"names 'Soleus'; expected one of background, Rectus"):
        inherit((0, 55), (0, 61), {"VL": "Soleus"})


OPTIONS = {
    "ResidualUNet3d": {
        "features": [4, 6, 8],
        "strides": [[1, 2, 2], [2, 2, 2]],
        "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    },
    "SliceBySlice": {"network": {"name": "UNet2d", "features": [4, 6]}},
    "AttentionUNet": {"features": [4, 6]},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_nothing_beyond_the_radius_changes_a_logit(name: str) -> None:
    torch.manual_seed(0)
    network = Design({"name": name, "classes": 2, **OPTIONS[name]}, (0, 55)).build().eval()
    step, radius = step_of(network), [receptive_radius(network, axis) for axis in range(3)]
    assert name != "SliceBySlice" or radius[0] == 0
    for axis in range(3):
        shape = [4 * s for s in step]
        shape[axis] = (2 * (radius[axis] // step[axis]) + 8) * step[axis]
        image = torch.rand(1, 1, *shape)
        other, middle = image.clone(), shape[axis] // 2
        other.movedim(2 + axis, 0)[middle + radius[axis] + 1 :] = 5.0
        with torch.no_grad():
            same = [network(i).movedim(2 + axis, 0)[middle] for i in (image, other)]
        torch.testing.assert_close(*same)


def test_a_network_that_normalises_by_the_patch_has_no_radius() -> None:
    pytest.importorskip("dynamic_network_architectures")
    options = OPTIONS["ResidualUNet3d"]
    network = Design({"name": "NnUNetPlain", "classes": 2, **options}, (0, 55)).build()
    assert receptive_radius(network, 2) is None


@pytest.mark.usefixtures("_no_pictures")
def test_labels_of_another_study_are_written(study: Path, tmp_path: Path) -> None:
    """Weights of a bundle go on in a training with other classes."""
    from legseg_bids.train.own.bundle import write_bundle

    pytest.importorskip("onnx")
    task, result, _ = fitted(made(study, tmp_path / "one"))
    bundle = write_bundle(task, result, tmp_path / "models")
    start = f'bundle = "{bundle}"\nlabels = {{"Vastus lateralis" = "Rectus femoris"}}'
    labels = np.where(drawn() == 62, 56, np.where(drawn() == 61, 55, drawn())).astype(np.int16)
    names = {**SCHEME, 55: "VL_L", 56: "VL_R"}
    other = write_labelled(tmp_path / "b", 3, names, labels)
    text = recipe_text(other.name, start=start, network="", top='classes = ["VL", "BFLH"]')
    text = text.replace("[network]\n", "")
    slow = text.replace("learning_rate = 0.01", "learning_rate = 1e-12\nweight_decay = 0.0")
    ready = made(other, tmp_path / "two", slow)
    _, after, said = fitted(ready)
    assert "Vastus lateralis begins as Rectus femoris" in said
    assert after.dice == pytest.approx(result.dice, abs=0.15)
    assert list((tmp_path / "two/fold-0").glob("*.pt"))


@pytest.mark.usefixtures("_no_pictures")
@pytest.mark.parametrize("name", OPTIONS)
def test_every_kind_of_network_becomes_a_bundle(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Both engines run it, patch by patch as in one piece."""
    from legseg_bids.segment.engines import load_engine
    from legseg_bids.segment.models import load_model
    from legseg_bids.train.own import bundle

    pytest.importorskip("onnx")
    monkeypatch.setattr(bundle, "bytes_per_voxel", lambda *_: 100.0)
    ready = made(study, tmp_path, schedule="epochs = 1\nsteps = 1")
    recipe = replace(ready.recipe, network={"name": name, **OPTIONS[name]})
    task, result, _ = fitted(replace(ready, recipe=recipe))
    bundle.write_bundle(task, result, tmp_path / "models")
    model = load_model(tmp_path / "models", "thigh")
    step, halo = model.segmentation.step, model.segmentation.halo
    shape = [s * -(-(2 * h + 3 * s) // s) for s, h in zip(step, halo, strict=True)]
    image = np.random.default_rng(0).random((1, 1, *shape), np.float32)
    engines = [load_engine(model, kind, "cpu", 1) for kind in ("openvino", "torch")]
    whole = [engine(image)[0] for engine in engines]
    np.testing.assert_allclose(*whole, atol=2e-3 * np.abs(whole[0]).max())
    cut = -(-halo[2] // step[2]) * step[2]
    part = engines[0](np.ascontiguousarray(image[..., step[2] :]))[0]
    np.testing.assert_allclose(
        part[..., cut:], whole[0][..., step[2] + cut :], atol=2e-3 * np.abs(whole[0]).max()
    )
