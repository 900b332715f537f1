"""The documentation's page of all factors, made from the tables."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

from legseg_bids.synth.factor_pictures import SUFFIX
from legseg_bids.synth.factor_scenes import Strip, load_strips
from legseg_bids.synth.factors import GROUPS, Factor, load_factors

#: Where the pictures lie, seen from the page.
FIGURES = "figures/factors"
WIDTH = 99

INTRODUCTION = """# What is simulated

<!-- Made by `legseg-synth factors --page`; change the tables, not this page. -->

The networks have seen no real image with labels: they learn from simulated ones
([training.md](training.md)). This page names everything that is varied in them, how widely, and
from where that is known. A range without a publication is said to be chosen, and why.

**How the pieces fit together.** A label map of a real person knows at every voxel its structure,
the nearest muscle, the depth in the structure and the distance from the muscle compartment. It is
deformed (shape and position), muscles are grown or wasted, and skin is put on (body and disease).
The tissues become two maps, of water and of fat; what goes wrong in tissue, such as oedema, metal,
or water taken for fat, happens there. Both are blurred, averaged to pixels and combined to one
contrast, for opposed phase |W − aF|, so that the dark lines between muscle and fat come by
themselves. Then follow coil shading, what goes wrong in images, noise, masking, and the scaling
that the application does too. The truth is looked up in the same deformed map on the image's own
voxels, so that image and truth cannot disagree.

**The pictures.** Each strip shows one slice, from little to much of one factor; all else is held
still, the textures and the noise too. Front is up and the outer side of a left limb on the left;
sections along the limb have the hip end up. Images are opposed phase unless the caption says
otherwise, and water for the skin and the fat–water swap. The second row, where there is one, has
the true outlines: there the factor changes the truth as well. All of it is drawn from the Visible
Human man and woman (Andreassen et al., *Scientific Data* 10:34, 2023, CC BY 4.0); no scan of a
living person is shown. The pictures and the page are made by

```bash
legseg-synth factors --atlas ATLAS --cache CACHE --out docs/figures/factors
legseg-synth factors --page docs/simulation.md
```

from `strips.toml`, and the text from `factors.tsv`, `range_words.tsv` and the values of `Ranges`,
all in `legseg_bids/synth`. "One in ten" is of the simulated stacks. Limbs of people of whom eleven
muscles are labelled keep their own shape and size (`synth/composite.py`): for these the ranges of
shape are narrower.
"""


def page() -> str:
    """The page, in Markdown."""
    strips = load_strips()
    out = [INTRODUCTION]
    for group, heading in GROUPS.items():
        out.append(f"## {heading}\n")
        out += [_entry(f, strips) for f in load_factors() if f.group == group]
    return "\n".join(out)


def _entry(factor: Factor, strips: Mapping[str, Strip]) -> str:
    captions = ", ".join(caption for caption, _ in strips[factor.name].columns)
    described = f"{factor.title}, from left to right: {captions}".replace("|", "/")
    paragraphs = [
        f"### {factor.title}",
        _wrapped(f"`{factor.name}` · {factor.what}"),
        f"![{described}]({FIGURES}/{factor.name}{SUFFIX})",
        _wrapped(f"**Range:** {'; '.join(factor.values())}."),
        _wrapped(f"**Source or reason:** {factor.source}"),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
