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
    # Muscles begin and end at heights of their own: sigma along the limb, varying across it.
    along_displacement: tuple[float, float] = (0.0, 8.0)
    # Other people's shapes (synth/people.py): a share of the way from the anatomy to the person,
    # a little past them and a little to the other side, so that nobody's exact shape is learnt.
    person_probability: float = 0.8
    person_share: tuple[float, float] = (-0.5, 1.2)
    person_blend_probability: float = 0.5  # two people at once
    # Single muscles in proportion to the others, as a pull towards their middle: 0.45 is 1.8 times
    # the width, -0.7 is 0.6 times. Spared muscles of a patient grow while their neighbours waste
    # (Wattjes et al., as below: sartorius, gracilis).
    swelling: tuple[float, float] = (-0.7, 0.45)
    swelling_probability: float = 0.5
    growth: tuple[float, float] = (0.0, 9.0)  # living compartments are full
    # … those of healthy people above all: their growth comes from the upper part of the range,
    # from this share of it on.
    lean_fullness: float = 0.4
    # Wasted muscles lie apart in fat: up to two thirds of the cross-section are lost in muscular
    # dystrophies (as seen in patients' images; muscles thinner than twice this vanish).
    atrophy: tuple[float, float] = (0.5, 10.0)
    atrophy_probability: float = 0.65
    lean_atrophy: float = 0.1  # times that for people whose muscles are not replaced by fat
    atrophy_share: tuple[float, float] = (0.2, 0.9)  # of the muscles
    # Thin to obese: the Visible Human woman (BMI 36) has up to 5 cm of fat over the thigh.
    skin_depth: tuple[float, float] = (3.0, 55.0)
    skin_thickness: float = 1.5  # Oltulu et al., Ann Plast Surg 81:2018: 1.0 to 2.5 mm
    own_skin_probability: float = 0.3
    rounded_probability: float = 0.8  # skin bridges the furrows between muscles
    # Children: a limb of about half an adult's width and length at school entry, chosen widely.
    child_probability: float = 0.06
    child_scale: tuple[float, float] = (0.55, 0.85)
    # Calves and buttocks lie on the table: how far behind the middle it begins, and how much
    # thicker what lies there was (as seen in images of supine people).
    pressed_probability: float = 0.3
    pressed_depth: tuple[float, float] = (15.0, 60.0)
    pressed_ratio: tuple[float, float] = (1.1, 2.5)
    # The field of view, or the cut between the limbs, ends within the body.
    edge_probability: float = 0.2
    edge: tuple[float, float] = (35.0, 100.0)  # from the limb's middle
    hip_edge_probability: float = 0.75
    hip_edge: tuple[float, float] = (-5.0, 30.0)  # beyond the body's middle
    off_centre_probability: float = 0.1
    # stack -------------------------------------------------------------------------------
    thin_slices: tuple[float, float] = (5.0, 7.5)
    thick_slices: tuple[float, float] = (7.5, 26.0)
    thick_probability: float = 0.35
    pixel: float = 1.5
    # tissue ------------------------------------------------------------------------------
    cortical_bone: tuple[float, float] = (1.5, 5.0)
    healthy_fat: tuple[float, float] = (0.02, 0.15)
    diseased_fat: tuple[float, float] = (0.1, 0.9)
    disease_probability: float = 0.5
    # Muscle by muscle: fully replaced beside spared, as in facioscapulohumeral and some
    # limb-girdle dystrophies (Wattjes et al., Eur Radiol 20:2447, 2010).
    all_or_nothing_probability: float = 0.4
    streaks_probability: float = 0.6  # of the diseased; the others are smooth
    # Muscle is about 1. A patient's gradient-echo images have fat of 0.8 to 2.0 times muscle from
    # slice to slice, and marrow brighter than the fat under the skin.
    fat_signal: tuple[float, float] = (0.5, 1.5)
    marrow: tuple[float, float] = (0.7, 1.4)  # of the fat signal
    sheath: tuple[float, float] = (0.0, 0.8)  # of the fat that the fascia displaces
    # Inside living muscles, and part of them: sheets of connective tissue (as seen in calves:
    # soleus has one through its middle), strands of fat between the bundles of fibres, and veins.
    aponeuroses_probability: float = 0.7
    aponeuroses_share: tuple[float, float] = (0.2, 1.0)  # of the muscles
    aponeurosis: tuple[float, float] = (0.5, 1.5)  # thickness
    strands_probability: float = 0.6
    strands: tuple[float, float] = (0.3, 1.0)  # thickness
    veins_probability: float = 0.6
    # Oedema: T2 of inflamed muscle is clearly longer (Maillard et al., Rheumatology 43:603, 2004);
    # in a gradient echo with a short echo time water gains some tenths.
    oedema_probability: float = 0.1
    oedema: tuple[float, float] = (0.1, 0.7)
    # Metal: voids of millimetres to centimetres, larger in gradient echoes (Hargreaves et al., AJR
    # 197:547, 2011).
    implant_probability: float = 0.03
    implant_radius: tuple[float, float] = (5.0, 35.0)
    organs_probability: float = 0.8
    # Fat-water swaps: of whole regions, where the field map went wrong.
    swap_probability: float = 0.03
    swap_threshold: tuple[float, float] = (0.3, 1.5)
    # acquisition -------------------------------------------------------------------------
    contrasts: tuple[tuple[str, float], ...] = (
        # of these, the application may feed the first three
        ("opposed", 0.43),
        ("in_phase", 0.30),
        ("water", 0.13),
        ("fat", 0.03),
        ("t1w", 0.11),
    )
    fat_weight: tuple[float, float] = (0.7, 1.15)  # T2* and separate scaling of W and F
    fine_pixels_probability: float = 0.35  # scanners' pixels: 0.7 to 1.9 mm
    coarse_pixels_probability: float = 0.12  # 3 mm
    ghosts_probability: float = 0.1
    ghosts: tuple[float, float] = (0.02, 0.2)  # of the signal, on either side
    wrap_probability: float = 0.04
    wrap: tuple[float, float] = (0.05, 0.25)  # of the image
    ringing_probability: float = 0.08
    ringing: tuple[float, float] = (0.35, 0.8)  # of the frequencies
    lost_slices_probability: float = 0.03
    point_spread: tuple[float, float] = (0.5, 1.4)  # Gaussian sigma, fine pixels
    noise: tuple[float, float] = (0.005, 0.08)  # of the muscle signal
    shading: tuple[float, float] = (0.0, 0.45)  # sigma of the logarithm
    drop_off: tuple[float, float] = (0.2, 0.85)  # of the signal at the end of a station
    drop_off_probability: float = 0.35  # at either end
    reference_sigma: float = 0.08  # of the logarithm: other tissue in view, other percentile
    gamma_sigma: float = 0.15
    unmasked_probability: float = 0.1
