"""What is varied in a simulated leg, and how widely: one frozen table.

The ranges come from living legs where a source is known (named beside the value) and are wider
than that where it is not, so that real images fall inside what the networks have seen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ranges:
    """Ranges of the simulation. Lengths in mm, angles in degrees.

    A pair is (lowest, highest) of a uniform draw unless its name ends in ``_sigma``.
    """

    # shape -------------------------------------------------------------------------------
    rotation_sigma: float = 12.0
    large_rotation: float = 45.0  # now and then: a foot that falls outwards
    large_rotation_probability: float = 0.1
    scale_mean_log: float = -0.07  # the Visible Human man is larger than most patients
    scale_sigma_log: float = 0.15
    whole_scale_sigma_log: float = 0.25  # of both legs together, in the locator's slices
    length_sigma_log: float = 0.08
    shear_sigma: float = 0.06
    tilt_sigma: float = 0.08  # slices against the limb, mm per mm
    coarse_displacement: tuple[float, float] = (0.0, 7.0)
    fine_displacement: tuple[float, float] = (0.0, 2.5)
    growth: tuple[float, float] = (0.0, 9.0)  # living compartments are full
    atrophy: tuple[float, float] = (0.5, 8.0)
    atrophy_probability: float = 0.4
    skin_depth: tuple[float, float] = (3.0, 40.0)
    skin_thickness: float = 1.5  # Oltulu et al., Ann Plast Surg 81:2018: 1.0 to 2.5 mm
    own_skin_probability: float = 0.3
    # stack -------------------------------------------------------------------------------
    thin_slices: tuple[float, float] = (5.0, 7.5)
    thick_slices: tuple[float, float] = (7.5, 26.0)
    thick_probability: float = 0.35
    pixel: float = 1.5
    # tissue ------------------------------------------------------------------------------
    cortical_bone: tuple[float, float] = (1.5, 5.0)
    healthy_fat: tuple[float, float] = (0.02, 0.15)
    diseased_fat: tuple[float, float] = (0.1, 0.8)
    disease_probability: float = 0.45
    streaks_probability: float = 0.5  # of the diseased; the others are smooth
    fat_signal: tuple[float, float] = (0.5, 1.2)
    # acquisition -------------------------------------------------------------------------
    contrasts: tuple[tuple[str, float], ...] = (
        ("opposed", 0.60),
        ("in_phase", 0.12),
        ("water", 0.10),
        ("fat", 0.06),
        ("t1w", 0.12),
    )
    fat_weight: tuple[float, float] = (0.7, 1.15)  # T2* and separate scaling of W and F
    point_spread: tuple[float, float] = (0.5, 1.4)  # Gaussian sigma, fine pixels
    noise: tuple[float, float] = (0.005, 0.08)  # of the muscle signal
    shading: tuple[float, float] = (0.0, 0.45)  # sigma of the logarithm
    drop_off: tuple[float, float] = (0.2, 0.85)  # of the signal at the end of a station
    drop_off_probability: float = 0.35  # at either end
    reference_sigma: float = 0.08  # of the logarithm: other tissue in view, other percentile
    gamma_sigma: float = 0.15
    unmasked_probability: float = 0.1
