"""Names and colours of labels in the files of viewers.

Both formats are plain text with one line for each value; both viewers show names and colours, and
offer the values for drawing, once such a file is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from legseg_bids.anatomy.labels import Label

SNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""
"""The first lines as ITK-SNAP itself writes them; other programs know the format by them."""


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#rrggbb``.

    Raises
    ------
    ValueError
        If it is no such colour.

    Examples
    --------
    >>> rgb("#dd6540")
    (221, 101, 64)
    """
    if len(color) != 7 or not color.startswith("#"):
        raise ValueError(f"colour {color!r}; expected #rrggbb")
    red, green, blue = (int(color[n : n + 2], 16) for n in (1, 3, 5))
    return red, green, blue


def itksnap(labels: Sequence[Label]) -> str:
    """Label descriptions of ITK-SNAP (Segmentation, Import Label Descriptions).

    Columns: value, red, green, blue, opacity, visible, visible as a surface, name in quotes.

    Parameters
    ----------
    labels : sequence of Label
        What to name; background is named in any case.

    Examples
    --------
    >>> from legseg_bids.anatomy.labels import label_by_index
    >>> print(itksnap([label_by_index(61)]).splitlines()[-1])
       61   155  224  113        1  1  1    "Rectus femoris left"
    """
    lines = [_snap_line(0, (0, 0, 0), 0, "Clear Label")]
    lines += [_snap_line(label.index, rgb(label.color), 1, label.name) for label in labels]
    return SNAP_HEAD + "".join(lines)


def slicer(labels: Sequence[Label]) -> str:
    """Colour table of 3D Slicer (``.ctbl`` or ``.txt``).

    Columns: value, name without spaces, red, green, blue, opacity, all from 0 to 255
    (Slicer developer guide, "Color table file format").

    Parameters
    ----------
    labels : sequence of Label
        What to name; background is named in any case.

    Examples
    --------
    >>> from legseg_bids.anatomy.labels import label_by_index
    >>> print(slicer([label_by_index(61)]), end="")
    # Color table file legseg-bids
    # 2 values
    0 Background 0 0 0 0
    61 Rectus_femoris_left 155 224 113 255
    """
    lines = [
        "# Color table file legseg-bids",
        f"# {len(labels) + 1} values",
        "0 Background 0 0 0 0",
    ]
    for label in labels:
        red, green, blue = rgb(label.color)
        name = "_".join(label.name.split())
        lines.append(f"{label.index} {name} {red} {green} {blue} 255")
    return "\n".join(lines) + "\n"


def _snap_line(index: int, color: tuple[int, int, int], shown: int, name: str) -> str:
    red, green, blue = color
    numbers = f"{index:5d} {red:5d}{green:5d}{blue:5d} {shown:8d}  {shown}  {shown}"
    return f'{numbers}    "{name}"\n'
