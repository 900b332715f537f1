"""The files of the desk's page: what a strict policy and poor eyes ask of them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "legseg_bids" / "desk" / "static"
MODULES = sorted(STATIC.glob("*.js"))
STYLE = (STATIC / "desk.css").read_text(encoding="utf-8")
LIGHT, DARK = re.findall(r":root \{(.*?)\}", STYLE, re.S)
# Text on what lies below it; WCAG 2.2, 1.4.3: at least 4.5 to 1.
TEXTS = [
    (text, ground)
    for text in ("text", "soft", "accent", "poor", "good", "check")
    for ground in ("page", "card")
] + [("text", "tint"), ("text", "warn"), ("on-accent", "accent"), ("card", "poor")]
# Borders of controls; WCAG 2.2, 1.4.11: at least 3 to 1.
BORDERS = [("edge", "card"), ("edge", "page"), ("accent", "card"), ("accent", "page")]


class Tags(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2) of ``#rgb`` or ``#rrggbb``."""
    digits = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(scheme: str, first: str, second: str) -> float:
    colors = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]+)", scheme))
    low, high = sorted(luminance(colors[name]) for name in (first, second))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_can_be_read(scheme: str, text: str, ground: str) -> None:
    assert contrast(scheme, text, ground) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("border", "ground"), BORDERS)
def test_controls_can_be_seen(scheme: str, border: str, ground: str) -> None:
    assert contrast(scheme, border, ground) >= 3


def test_the_page_has_no_code_or_style_of_its_own() -> None:
    for tag, attributes in Tags((STATIC / "index.html").read_text(encoding="utf-8")).found:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "script":
            assert attributes["src"]
        for name in ("src", "href"):
            assert re.match(r"/static/|#|$", attributes.get(name) or "")


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r'"/static/([\w./-]+)"', (STATIC / "index.html").read_text("utf-8"))
    for module in MODULES:
        named += re.findall(r'from "\./([\w.-]+)"', module.read_text(encoding="utf-8"))
    assert {name for name in named if not (STATIC / name).is_file()} == set()
    assert {path.name for path in MODULES} <= {*named}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_makes_no_markup_of_text_and_knows_no_other_place(module: Path) -> None:
    code = module.read_text(encoding="utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in code
    assert "new Function" not in code
    assert set(re.findall(r"https?://[\w./-]+", code)) <= {"http://www.w3.org/2000/svg"}
    assert len(code.splitlines()) < 500


def test_every_key_does_one_thing() -> None:
    table = (STATIC / "keys.js").read_text(encoding="utf-8")
    rows = re.findall(r'^  \["([\w-]+)", \[(.*?)\], "', table, re.M)
    keys = [key for _, listed in rows for key in re.findall(r'"(.*?)"(?:, |$)', listed)]
    assert len(rows) > 20
    assert len(keys) == len(set(keys))
    doing = ("result.js", "tools.js", "app.js")
    named = "".join((STATIC / name).read_text(encoding="utf-8") for name in doing)
    for action, _ in rows:
        assert re.search(rf"\b{action.split('-')[0]}\b", named), action
