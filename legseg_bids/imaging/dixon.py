"""Physics of the Dixon acquisition: echo times, opposed phase, fat fraction.

Fat precesses more slowly than water by about 3.4 ppm (the main methylene peak at 1.3 ppm
against water at 4.7 ppm; Dixon, Radiology 153:189, 1984). After an echo time TE the two
differ by ``TE * 3.4e-6 * gamma * B0`` turns: a whole number means in phase, a half means
opposed phase.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAT_WATER_SHIFT_PPM = 3.4
GYROMAGNETIC_RATIO = 42.577
"""Of the proton, MHz per tesla."""
TOLERANCE = 0.15
TIE = 0.02
SYMMETRY = 0.1
"""Two opposed echoes lie evenly around an in-phase one if no farther off than this share."""


def echo_phase(echo_time: float, field_strength: float) -> float:
    """Compute the phase of fat against water, in turns.

    Parameters
    ----------
    echo_time : float
        Seconds.
    field_strength : float
        Tesla.

    Returns
    -------
    float
        In [0, 1): 0 is in phase, 0.5 is opposed phase.

    Raises
    ------
    ValueError
        If one of them is not a positive, finite number.

    Examples
    --------
    >>> round(echo_phase(0.00345, 3.0), 2), round(echo_phase(0.0046, 3.0), 2)
    (0.5, 1.0)
    """
    for what, value in (("echo time", echo_time), ("field strength", field_strength)):
        _require_positive(what, value)
    # Parts per million of megahertz are hertz.
    return (echo_time * FAT_WATER_SHIFT_PPM * GYROMAGNETIC_RATIO * field_strength) % 1.0


def opposedness(echo_time: float, field_strength: float) -> float:
    """Compute how far an echo is from opposed phase: 0 opposed, 0.5 in phase (turns).

    Examples
    --------
    >>> opposedness(0.00345, 3.0) < 0.01 < 0.49 < opposedness(0.0046, 3.0)
    True
    """
    return abs(echo_phase(echo_time, field_strength) - 0.5)


def choose_opposed_echo(
    echo_times: Sequence[float], field_strength: float, tolerance: float = TOLERANCE
) -> int:
    """Choose the echo that is nearest to opposed phase.

    Echoes that are as good within 0.02 turns count as equal; the shortest wins, having
    the most signal.

    Parameters
    ----------
    echo_times : sequence of float
        Seconds.
    field_strength : float
        Tesla.
    tolerance : float
        Largest distance from opposed phase that is accepted, turns.

    Returns
    -------
    int
        Position in `echo_times`.

    Raises
    ------
    ValueError
        If no echo is within the tolerance.

    Examples
    --------
    >>> choose_opposed_echo([0.00345, 0.0046, 0.00575], 3.0)
    0
    """
    distances = [opposedness(echo_time, field_strength) for echo_time in echo_times]
    if not distances or min(distances) > tolerance:
        listed = ", ".join(f"{1000 * echo_time:g}" for echo_time in echo_times) or "none"
        raise ValueError(
            f"no opposed-phase echo among TE = {listed} ms at {field_strength:g} T; expected one "
            f"within {tolerance:g} turns of an odd multiple of {_first_opposed_ms(field_strength)}"
        )
    best = min(distances) + TIE
    equal = [index for index, distance in enumerate(distances) if distance <= best]
    return min(equal, key=lambda index: echo_times[index])


def magnitude(real: NDArray[Any], imaginary: NDArray[Any]) -> NDArray[np.float32]:
    """Compute the magnitude of a complex signal (arrays of the same shape).

    Examples
    --------
    >>> magnitude(np.array([3, -1]), np.array([-4, 0]))
    array([5., 1.], dtype=float32)
    """
    length: NDArray[np.float32] = np.hypot(real.astype(np.float32), imaginary.astype(np.float32))
    return length


def opposed_phase(water: NDArray[Any], fat: NDArray[Any]) -> NDArray[np.float32]:
    """Rebuild the opposed-phase image |W - F| (arrays of the same shape).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    water_signal, fat_signal = _signals(water, fat)
    difference: NDArray[np.float32] = np.abs(water_signal - fat_signal)
    return difference


def in_phase(water: NDArray[Any], fat: NDArray[Any]) -> NDArray[np.float32]:
    """Rebuild the in-phase image W + F (arrays of the same shape).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    water_signal, fat_signal = _signals(water, fat)
    return water_signal + fat_signal


def fat_fraction(water: NDArray[Any], fat: NDArray[Any]) -> NDArray[np.float32]:
    """Compute the signal fat fraction F / (W + F).

    Parameters
    ----------
    water, fat : ndarray, same shape
        Magnitudes; values that are negative or not finite count as 0.

    Returns
    -------
    ndarray of float32, same shape
        In [0, 1]; 0 where there is no signal at all.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> fat_fraction(np.array([3, 0]), np.array([1, 0]))
    array([0.25, 0.  ], dtype=float32)
    """
    water_signal, fat_signal = _signals(water, fat)
    total = water_signal + fat_signal
    fraction = np.zeros_like(total)
    np.divide(fat_signal, total, out=fraction, where=total > 0)
    return fraction


def two_point_fraction(in_phase: NDArray[Any], opposed: NDArray[Any]) -> NDArray[np.float32]:
    """Compute the fat fraction (I - O) / (2 I) of magnitudes, which cannot exceed one half.

    A voxel that is more than half fat gets the share of its water.

    Parameters
    ----------
    in_phase, opposed : ndarray, same shape
        Magnitudes; values that are negative or not finite count as 0.

    Returns
    -------
    ndarray of float32, same shape
        In [0, 0.5]; 0 where there is no signal at all.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> two_point_fraction(np.array([10, 10, 10]), np.array([8, 0, 8.0]))
    array([0.1, 0.5, 0.1], dtype=float32)
    """
    both, difference = _signals(in_phase, opposed, ("the in-phase image", "the opposed-phase one"))
    fraction = np.zeros_like(both)
    np.divide(both - difference, 2 * both, out=fraction, where=both > 0)
    return np.clip(fraction, 0.0, 0.5, out=fraction)


def choose_in_phase_echoes(
    echo_times: Sequence[float],
    field_strength: float,
    opposed: int,
    tolerance: float = TOLERANCE,
) -> tuple[int, int | None] | None:
    """Choose the echoes that, with an opposed one, give the fat fraction.

    Parameters
    ----------
    echo_times : sequence of float
        Seconds.
    field_strength : float
        Tesla.
    opposed : int
        Position of the opposed echo in `echo_times`.
    tolerance : float
        Largest distance from in phase and from opposed phase that is accepted, turns.

    Returns
    -------
    (int, int or None) or None
        Positions of the in-phase echo that is nearest in time, and of another opposed echo that
        lies as far beyond it, if there is one; of two that are as near, the one that has one.
        None without an in-phase echo.

    Examples
    --------
    >>> choose_in_phase_echoes([0.00345, 0.0046, 0.00575], 3.0, 0)
    (1, 2)
    >>> choose_in_phase_echoes([0.00115, 0.0023], 3.0, 0)
    (1, None)
    """
    away = [opposedness(echo_time, field_strength) for echo_time in echo_times]
    others = [
        time for time, distance in zip(echo_times, away, strict=True) if distance <= tolerance
    ]
    found = []
    for number, distance in enumerate(away):
        if 0.5 - distance <= tolerance:
            step = echo_times[number] - echo_times[opposed]
            beyond = _nearest(others, echo_times[number] + step, SYMMETRY * abs(step))
            place = None if beyond is None else echo_times.index(beyond)
            found.append((round(abs(step), 5), place is None, number, place))
    return min(found)[2:] if found else None


def _nearest(times: Sequence[float], wanted: float, reach: float) -> float | None:
    """The time that is nearest to the wanted one, if any is within reach."""
    close = [time for time in times if abs(time - wanted) <= reach]
    return min(close, key=lambda time: abs(time - wanted), default=None)


def clean(data: NDArray[Any]) -> NDArray[np.float32]:
    """Copy of magnitudes in which values that are negative or not finite are 0.

    Examples
    --------
    >>> clean(np.array([2.0, -1.0, np.nan]))
    array([2., 0., 0.], dtype=float32)
    """
    magnitude = data.astype(np.float32)
    magnitude[~(np.isfinite(magnitude) & (magnitude > 0))] = 0.0
    return magnitude


def _signals(
    first: NDArray[Any], second: NDArray[Any], names: tuple[str, str] = ("water", "fat")
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} has shape {first.shape} and {names[1]} {second.shape}; expected the same "
            "grid; resample one to the other"
        )
    return clean(first), clean(second)


def _require_positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{what} is {value}; expected a positive number")


def _first_opposed_ms(field_strength: float) -> str:
    hertz = FAT_WATER_SHIFT_PPM * GYROMAGNETIC_RATIO * field_strength
    return f"{500 / hertz:.2f} ms"
