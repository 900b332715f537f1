"""The three ways to an opposed-phase volume, each tried on the images of one station."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from legseg_bids.bids import metadata as sidecar
from legseg_bids.bids.candidates import Candidate, names
from legseg_bids.bids.queries import Query

EchoChooser = Callable[[list[float], float], int]
InPhaseChooser = Callable[[list[float], float, int], tuple[int, int | None] | None]
PARTLY = "pip"
"""In the name of an echo that is only partly in phase (TPTBox)."""
Signal = tuple[Candidate, ...]
"""A magnitude image; or a real and an imaginary one, from which a magnitude can be made."""


@dataclass(frozen=True)
class Choice:
    """The files that a query takes, and why.

    Attributes
    ----------
    files : dict of str to Candidate
        ``opposed``, or ``real`` and ``imaginary``, or ``water`` and ``fat``; later also water
        and fat beside one of the first two, or in-phase images beside the first.
    because : str
        What spoke for them.
    notes : tuple of str
        What else the log should say.
    """

    files: dict[str, Candidate]
    because: str
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> Candidate:
        """The image after which the outputs are named."""
        return self.files.get("opposed") or self.files.get("real") or self.files["water"]


class Unfit(Exception):
    """A query applies to a station, but cannot give an opposed-phase volume."""


def choose(query: Query, images: Sequence[Candidate], choose_echo: EchoChooser) -> Choice | None:
    """Try one query on one station.

    Parameters
    ----------
    query : Query
        What to look for.
    images : sequence of Candidate
        All images of the station.
    choose_echo : callable
        See `legseg_bids.bids.discover.discover`.

    Returns
    -------
    Choice or None
        None if the query does not apply.

    Raises
    ------
    Unfit
        If it applies but something is missing or ambiguous.
    """
    if query.kind == "opposed":
        return _choose_opposed(query, images)
    if query.kind == "echoes":
        return _choose_echo(query, images, choose_echo)
    return choose_water_fat(query, images)


def choose_water_fat(query: Query, images: Sequence[Candidate]) -> Choice | None:
    """Find the one water and the one fat image of a station.

    Raises
    ------
    Unfit
        If one of the two is missing, or there are several.
    """
    usable = [image for image in images if image.part == "magnitude"]
    roles = {role: [i for i in usable if i.role == role] for role in ("water", "fat")}
    if not any(roles.values()):
        return None
    _require_both(roles)
    for suffix in query.suffixes:
        water, fat = ([i for i in roles[r] if i.suffix == suffix] for r in ("water", "fat"))
        if len(water) == len(fat) == 1:
            because = f"{water[0].match.because}; {fat[0].match.because}"
            return Choice({"water": water[0], "fat": fat[0]}, because)
    raise Unfit(
        f"{names([*roles['water'], *roles['fat']])} do not make one pair; expected one water and "
        "one fat image of the same suffix; give others a different run- or chunk- entity"
    )


def choose_in_phase(
    choice: Choice, images: Sequence[Candidate], chooser: InPhaseChooser | None
) -> dict[str, Candidate]:
    """Find what, with the opposed-phase magnitude of a choice, gives the fat fraction.

    Parameters
    ----------
    choice : Choice
        What was chosen.
    images : sequence of Candidate
        All images of the station that may be used.
    chooser : callable or None
        See `legseg_bids.bids.discover.discover`.

    Returns
    -------
    dict of str to Candidate
        ``in_phase``, and ``opposed_later`` if there is a second opposed echo beyond it; empty
        if there is no in-phase image, or no telling which of several.
    """
    opposed = choice.files.get("opposed")
    if opposed is None:
        return {}
    alike = [i for i in images if i.part == "magnitude" and i.suffix == opposed.suffix]
    named = [i for i in alike if i.role == "in_phase" and PARTLY not in i.spelling.contrast]
    if len(named) == 1:
        return {"in_phase": named[0]}
    return {} if named or chooser is None else _in_phase_echoes(opposed, alike, chooser)


def _in_phase_echoes(
    opposed: Candidate, images: Sequence[Candidate], chooser: InPhaseChooser
) -> dict[str, Candidate]:
    """The same among echoes, by their times."""
    timed = [(i, sidecar.echo_time(i.metadata)[0]) for i in images if i.is_echo]
    echoes = [(image, time) for image, time in timed if time is not None]
    b0 = sidecar.positive_number(opposed.metadata, "MagneticFieldStrength")
    place = next((n for n, (image, _) in enumerate(echoes) if image == opposed), None)
    if place is None or b0 is None:
        return {}
    chosen = chooser([time for _, time in echoes], b0, place)
    roles = zip(("in_phase", "opposed_later"), chosen or (), strict=False)
    return {role: echoes[number][0] for role, number in roles if number is not None}


def signals(images: Sequence[Candidate]) -> list[Signal]:
    """Give every magnitude that the images hold or that can be made of them.

    Where a signal has a magnitude image, its real and imaginary parts are not needed; where it
    has not, both of them are.
    """
    by_signal: dict[tuple[object, ...], list[Candidate]] = {}
    for image in images:
        by_signal.setdefault(image.signal, []).append(image)
    found: list[Signal] = []
    for parts in by_signal.values():
        magnitudes = [image for image in parts if image.part == "magnitude"]
        pair = [[i for i in parts if i.part == part] for part in ("real", "imaginary")]
        if magnitudes:
            found += [(image,) for image in magnitudes]
        elif len(pair[0]) == len(pair[1]) == 1:
            found.append((pair[0][0], pair[1][0]))
    return found


def _choose_opposed(query: Query, images: Sequence[Candidate]) -> Choice | None:
    found = _preferred(query, [image for image in images if image.role == "opposed"])
    if not found:
        return None
    if len(found) > 1:
        raise Unfit(
            f"{_names(found)} all say that they are in opposed phase; expected one for a station; "
            "give them different run- or chunk- entities"
        )
    return Choice(_files(found[0]), found[0][0].match.because)


def _choose_echo(
    query: Query, images: Sequence[Candidate], choose_echo: EchoChooser
) -> Choice | None:
    echoes = [i for i in images if i.is_echo and i.role not in {"water", "fat"}]
    found = _preferred(query, echoes)
    if not found:
        return None
    timed = [(signal, *sidecar.echo_time(signal[0].metadata)) for signal in found]
    known = [(signal, time) for signal, time, _ in timed if time is not None]
    times = [time for _, time in known]
    b0 = _field_strength(found, timed=bool(times))
    try:
        chosen = choose_echo(times, b0)
    except ValueError as error:
        raise Unfit(f"no echo of {_names(found)} fits: {error}") from error
    because = f"of {len(found)} echoes, TE {times[chosen] * 1e3:.2f} ms at {b0:g} T fits best"
    return Choice(_files(known[chosen][0]), because, _timing_notes(timed))


def _files(signal: Signal) -> dict[str, Candidate]:
    roles = ("opposed",) if len(signal) == 1 else ("real", "imaginary")
    return dict(zip(roles, signal, strict=True))


def _names(found: Sequence[Signal]) -> str:
    return names([image for signal in found for image in signal])


def _timing_notes(timed: Sequence[tuple[Signal, float | None, bool]]) -> tuple[str, ...]:
    in_ms = [signal for signal, _, converted in timed if converted or signal[0].in_ms]
    without = [signal for signal, time, _ in timed if time is None]
    return (
        *([f"EchoTime of {_names(in_ms)} read as milliseconds"] if in_ms else []),
        *([f"{_names(without)} left out for want of an EchoTime"] if without else []),
    )


def _field_strength(echoes: Sequence[Signal], *, timed: bool) -> float:
    images = (image for signal in echoes for image in signal)
    strengths = (sidecar.positive_number(i.metadata, "MagneticFieldStrength") for i in images)
    b0 = next((strength for strength in strengths if strength), None)
    if timed and b0:
        return b0
    missing = [] if timed else ["EchoTime (seconds)"]
    missing += [] if b0 else ["MagneticFieldStrength (tesla)"]
    raise Unfit(
        f"the sidecars of {_names(echoes)} give no usable {' and no '.join(missing)}; expected "
        "both, to tell which echo is in opposed phase; add them to the JSON files"
    )


def _require_both(roles: dict[str, list[Candidate]]) -> None:
    for role, other in (("water", "fat"), ("fat", "water")):
        if not roles[other]:
            raise Unfit(
                f"{names(roles[role])} is a {role} image without its {other} image; expected "
                f"both, with names that differ only in that word; add the {other} image"
            )


def _preferred(query: Query, images: Sequence[Candidate]) -> list[Signal]:
    """Keep the signals of the suffix that the query prefers most."""
    for suffix in query.suffixes:
        found = signals([image for image in images if image.suffix == suffix])
        if found:
            return found
    return []
