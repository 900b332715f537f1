"""Every command of ``docs/own-training.md``, in its order, with smaller numbers."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("monai")
pytest.importorskip("onnx")

from phantom import write_phantom
from running import run_legseg

from legseg_bids.cli import augment_sheet, synth, train, train_own
from legseg_bids.segment.models import load_model
from legseg_bids.train.own.recipe_file import load_recipe

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/own-training.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for line in block.splitlines()
]
RECIPES = dict(re.findall(r"```toml\n# (\S+)\n(.*?)```", PAGE, re.S))
#: What is written on the page, and what is done here instead.
SMALLER = {
    r"features = .*": "features = [4, 6]",
    r"strides = .*": "strides = [[1, 2, 2]]",
    r"kernels = .*": "kernels = [[1, 3, 3], [3, 3, 3]]",
    r"spacing = .*": "spacing = [6.0, 6.0, 6.0]",
    r"patch = .*": "patch = [4, 32, 32]",
    r"minutes = .*": "epochs = 1",
    r"epochs = 200": "",
    r"steps = .*": "steps = 1",
    r"folds = 3": "folds = 2\n[augment.blur]",  # the sample has two participants
}
#: Options added to a command: `legseg` need not check the sample, nor draw.
QUICK = {"legseg": ["--skip-bids-validation", "--no-reports", "--omp-nthreads", "1"]}


def smaller(text: str) -> str:
    for pattern, instead in SMALLER.items():
        text = re.sub(rf"^{pattern}$", instead, text, flags=re.M)
    return "workers = 0\n" + text


def _synth(words: list[str]) -> int:
    """The phantom is no leg that the locator knows: the sample goes on in its place."""
    place = words.index("--pixels")
    sizes = ["--pixels", "60", "32", "--pixel", "6", "--slices", "3", "--anatomies", "vhm"]
    write_phantom(Path("ATLAS"))
    code = synth.main([*words[:place], *sizes])
    assert len(list(Path("people").glob("sub-*"))) == 6
    shutil.rmtree("people")
    shutil.copytree(ROOT / "tests/data/sample", "people")
    return code


PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "legseg-synth": _synth,
    "legseg-augment-sheet": augment_sheet.main,
    "legseg-train": train.main,
    "legseg": lambda words: run_legseg(*words).code,
    "pip": lambda words: 0,
}


@pytest.mark.slow
def test_every_command_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in RECIPES.items():
        Path(name).write_text(smaller(text))
    for command in COMMANDS:
        program, *words = shlex.split(command)
        code = PROGRAMS[program]([*words, *QUICK.get(program, [])])
        assert code == 0, f"{command}: {capsys.readouterr().err}"
    model = load_model(tmp_path / "models", "thigh")
    assert model.segmentation.channels[1:4] == (55, 57, 59)
    assert load_model(tmp_path / "finer-models", "thigh").segmentation.channels == (
        0,
        55,
        61,
        103,
        -1,
    )
    for name in ("locator", "lower_leg"):
        load_model(tmp_path / "models", name)
    tables = [p.read_text() for p in (tmp_path / "out/sub-01").rglob("*chunk-1*_dseg.tsv")]
    assert tables
    assert (tmp_path / "run/folds.csv").exists()
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    card = (tmp_path / "models/thigh/docs/README.md").read_text()
    assert "| Vastus lateralis |" in card
    assert "$" not in card


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_the_page_are_right(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(RECIPES[name])
    assert load_recipe(tmp_path / name).name == name.removesuffix(".toml")


def test_the_page_names_every_key(tmp_path: Path) -> None:
    (tmp_path / "thigh.toml").write_text(RECIPES["thigh.toml"])
    plain = load_recipe(tmp_path / "thigh.toml").plain()
    tables = [plain["grid"], plain["optimiser"], plain["schedule"], plain["split"], plain["start"]]
    keys = {key for table in (plain, *tables) for key in table} - {"name", "data"}
    assert not {key for key in keys if f"`{key}`" not in PAGE and f"[{key}]`" not in PAGE
                and f"`[{key}]" not in PAGE}  # fmt: skip


def test_the_shipped_models_are_never_replaced(tmp_path: Path, capsys) -> None:
    from legseg_bids.segment.models import find_models_dir

    shutil.copytree(ROOT / "tests/data/sample", tmp_path / "people")
    recipe = tmp_path / "thigh.toml"
    recipe.write_text(smaller(RECIPES["thigh.toml"]))
    before = (find_models_dir() / "thigh/configs/metadata.json").read_bytes()
    words = ["own", recipe, "--run", tmp_path / "run", "--into", find_models_dir()]
    assert train.main([str(word) for word in words]) == 2
    assert "expected another folder, or one of them would be lost" in capsys.readouterr().err
    assert (find_models_dir() / "thigh/configs/metadata.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fold", "7"], "--fold is '7'; expected 0 to 2, or all"),
        (["--fold", "some"], "expected 0 to 2, or all"),
        ([], "is not a folder; expected a BIDS dataset"),
    ],
)
def test_command_says_what_is_wrong(tmp_path: Path, words: list[str], said: str, capsys) -> None:
    recipe = tmp_path / "thigh.toml"
    recipe.write_text(RECIPES["thigh.toml"])
    assert train.main(["own", str(recipe), "--run", str(tmp_path / "run"), *words]) > 0
    assert said in capsys.readouterr().err


def test_an_interruption_is_no_error_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def stop(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_own, "_train", stop)
    assert train.main(["own", "thigh.toml", "--run", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_one_network_for_the_whole_leg(tmp_path: Path, capsys) -> None:
    shutil.copytree(ROOT / "tests/data/sample", tmp_path / "people")
    text = smaller(RECIPES["thigh.toml"]).replace('region = "upper"', 'region = "whole"')
    (tmp_path / "leg.toml").write_text(
        re.sub(r"classes = \[.*?\]", 'classes = "all"', text, flags=re.S)
    )
    words = [
        "own",
        tmp_path / "leg.toml",
        "--run",
        tmp_path / "run",
        "--into",
        tmp_path / "models",
    ]
    assert train.main([str(word) for word in words]) == 0, capsys.readouterr().err
    channels = load_model(tmp_path / "models", "leg").segmentation.channels
    assert {1, 5, 55, 103} <= set(channels)
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["leg", "locator"]
