"""The preset `lus_like`: what lungs, probes and scanners its clips show.

The ranges of the styles were chosen by eye and by measured figures (levels, spectra, motion) next to the training
patients' clips of the openly licensed lung collection that `train/data.py` splits; see `lung.py` for what is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lrmcodec.simulate.lung.motion import Breathing, Motion, draw_motion
from lrmcodec.simulate.lung.scene import BLine, Lesion, LungScene, Surface
from lrmcodec.simulate.lung.tissue import Rib, Wall
from lrmcodec.simulate.plan import Plan, Preset, Request
from lrmcodec.simulate.scan import BASE_SIDE, Probe, Settings

Range = tuple[float, float]

MAX_B_LINES = 6


@dataclass(frozen=True)
class Style:
    """Ranges for one kind of probe, scanner and way to scan; fields are those of the classes they are drawn for.

    Attributes
    ----------
    view : str
    share : float
        How often it is drawn.
    width_cm : Range
        Width of the picture.
    radius_cm, half_angle : Range
        Of the curved probe; 0 for linear probes.
    top : Range
        Row of the middle of the face, as a fraction of the picture.
    bottom : Range
        Depth of the scan as a fraction of the picture's height.
    pleura_cm, tilt, bend, fat, muscle_db, face_db, fasciae, fascia_db, streak_db : Range
        See `Wall`.
    rib_odds : float
        How often ribs are seen.
    shadow_db, onset_cm : Range
        See `Rib`.
    pleura_db, air_db, air_fall, copies_db, a_lines_db, rays_db, air_streak_db : Range
        See `Surface`.
    b_odds : float
        How often there are B-lines.
    b_db : Range
        Level of B-lines above the level of the air.
    depth, slide_cm, wall_cm, rise, renewal_hz : Range
        See `Breathing`.
    edge_odds : float
        How often one side of the probe is off the skin.
    depth_gain_db : Range
        Gain at the bottom.
    gain_db, dynamic_range_db, gamma, noise_db, persistence, pulse_cm, beam_cm, jpeg : Range
        See `Settings`; the beam is in cm at the focus.
    scan_hz : float or None
        See `LungScene`.
    """

    view: str
    share: float
    width_cm: Range
    radius_cm: Range
    half_angle: Range
    top: Range
    bottom: Range
    pleura_cm: Range
    tilt: Range
    bend: Range
    fat: Range
    muscle_db: Range
    face_db: Range
    fasciae: Range
    fascia_db: Range
    streak_db: Range
    air_streak_db: Range
    rib_odds: float
    shadow_db: Range
    onset_cm: Range
    pleura_db: Range
    air_db: Range
    air_fall: Range
    copies_db: Range
    a_lines_db: Range
    rays_db: Range
    evenness: Range
    b_odds: float
    b_db: Range
    depth: Range
    slide_cm: Range
    wall_cm: Range
    rise: Range
    renewal_hz: Range
    edge_odds: float
    depth_gain_db: Range
    gain_db: Range
    dynamic_range_db: Range
    gamma: Range
    noise_db: Range
    persistence: Range
    pulse_cm: Range
    beam_cm: Range
    jpeg: Range
    scan_hz: float | None


_DARK = Style(
    view="lung_convex", share=0.60, width_cm=(12.5, 15.0), radius_cm=(5.6, 6.4), half_angle=(0.50, 0.54),
    top=(-0.03, 0.04), bottom=(0.90, 0.95), pleura_cm=(1.1, 2.6), tilt=(-0.25, 0.25), bend=(-0.03, 0.03),
    fat=(0.2, 0.5), muscle_db=(-2, 2), face_db=(-3, 3), fasciae=(2, 6), fascia_db=(9, 15), streak_db=(2.0, 4.0),
    rib_odds=0.85, shadow_db=(-36, -12), onset_cm=(0.8, 3.0), pleura_db=(8, 15), air_db=(-7, -2), air_fall=(3.0, 9.0),
    copies_db=(-14, 0), a_lines_db=(12, 22), rays_db=(1.0, 3.0), air_streak_db=(0.8, 2.0), evenness=(2.8, 4.8),
    b_odds=0.12, b_db=(4, 9), depth=(0.4, 1.0), slide_cm=(0.2, 0.8), wall_cm=(0.9, 3.0), rise=(0.02, 0.15),
    renewal_hz=(0.22, 0.7), edge_odds=0.35, depth_gain_db=(-6, 2), gain_db=(-31, -21), dynamic_range_db=(68, 84),
    gamma=(1.2, 1.6), noise_db=(-43, -38), persistence=(0.5, 0.78), pulse_cm=(0.02, 0.035), beam_cm=(0.07, 0.13),
    jpeg=(60, 92), scan_hz=None)

_BRIGHT = Style(
    view="lung_convex", share=0.18, width_cm=(9.0, 11.5), radius_cm=(5.4, 6.4), half_angle=(0.52, 0.58),
    top=(0.05, 0.10), bottom=(0.88, 1.05), pleura_cm=(2.0, 3.6), tilt=(-0.18, 0.12), bend=(-0.01, 0.06),
    fat=(0.2, 0.5), muscle_db=(0, 5), face_db=(-22, -10), fasciae=(4, 9), fascia_db=(8, 13), streak_db=(3.5, 6.0),
    rib_odds=0.2, shadow_db=(-12, -5), onset_cm=(0.5, 2.0), pleura_db=(12, 18), air_db=(-9, -4), air_fall=(0.4, 1.6),
    copies_db=(-40, -14), a_lines_db=(6, 15), rays_db=(1.5, 3.5), air_streak_db=(1.0, 2.2), evenness=(2.5, 4.5),
    b_odds=0.9, b_db=(4, 10), depth=(0.3, 1.0), slide_cm=(1.0, 2.6), wall_cm=(0.0, 0.4), rise=(0.0, 0.06),
    renewal_hz=(0.6, 1.5), edge_odds=0.35, depth_gain_db=(-4, 1), gain_db=(-24, -17), dynamic_range_db=(44, 54),
    gamma=(1.0, 1.2), noise_db=(-72, -64), persistence=(0.0, 0.0), pulse_cm=(0.02, 0.03), beam_cm=(0.05, 0.09),
    jpeg=(75, 95), scan_hz=12.5)

_WHITE = Style(
    view="lung_convex", share=0.04, width_cm=(10.0, 14.0), radius_cm=(4.8, 6.0), half_angle=(0.58, 0.68),
    top=(0.05, 0.10), bottom=(0.85, 0.92), pleura_cm=(1.6, 2.8), tilt=(-0.1, 0.1), bend=(-0.02, 0.03), fat=(0.3, 0.6),
    muscle_db=(-3, 1), face_db=(-20, -6), fasciae=(2, 5), fascia_db=(4, 10), streak_db=(1.5, 3.0), rib_odds=0.7,
    shadow_db=(-22, -10), onset_cm=(0.5, 2.0), pleura_db=(5, 10), air_db=(-10, -5), air_fall=(-0.4, 1.5),
    copies_db=(-40, -20), a_lines_db=(18, 30), rays_db=(2.0, 4.0), air_streak_db=(1.0, 2.0), evenness=(1.6, 3.0),
    b_odds=0.95, b_db=(4, 8), depth=(0.3, 1.0), slide_cm=(0.3, 0.8), wall_cm=(0.1, 0.6), rise=(0.02, 0.1),
    renewal_hz=(0.6, 1.5), edge_odds=0.2, depth_gain_db=(-2, 4), gain_db=(-40, -33), dynamic_range_db=(58, 72),
    gamma=(1.1, 1.4), noise_db=(-48, -38), persistence=(0.0, 0.4), pulse_cm=(0.03, 0.05), beam_cm=(0.08, 0.14),
    jpeg=(60, 92), scan_hz=None)

_FASCIA = Style(
    view="lung_linear", share=0.09, width_cm=(3.8, 5.0), radius_cm=(0, 0), half_angle=(0, 0), top=(0.0, 0.02),
    bottom=(0.98, 1.04), pleura_cm=(2.0, 3.2), tilt=(-0.2, 0.2), bend=(-0.01, 0.03), fat=(0.25, 0.4),
    muscle_db=(-3, 1), face_db=(2, 7), fasciae=(5, 10), fascia_db=(10, 16), streak_db=(1.5, 2.6), rib_odds=0.2,
    shadow_db=(-14, -6), onset_cm=(0.3, 1.0), pleura_db=(8, 14), air_db=(-6, -1), air_fall=(1.0, 3.0),
    copies_db=(-40, -18), a_lines_db=(12, 24), rays_db=(1.0, 3.0), air_streak_db=(1.0, 2.2), evenness=(2.5, 4.5),
    b_odds=0.25, b_db=(3, 7), depth=(0.8, 1.0), slide_cm=(0.2, 0.8), wall_cm=(0.4, 1.2), rise=(0.05, 0.2),
    renewal_hz=(0.6, 1.6), edge_odds=0.4, depth_gain_db=(-4, 2), gain_db=(-40, -33), dynamic_range_db=(62, 76),
    gamma=(1.0, 1.3), noise_db=(-55, -42), persistence=(0.1, 0.4), pulse_cm=(0.010, 0.018), beam_cm=(0.02, 0.035),
    jpeg=(60, 92), scan_hz=None)

_RIBS = Style(
    view="lung_linear", share=0.09, width_cm=(3.8, 5.0), radius_cm=(0, 0), half_angle=(0, 0), top=(0.0, 0.02),
    bottom=(0.98, 1.04), pleura_cm=(1.0, 1.8), tilt=(-0.2, 0.2), bend=(0.0, 0.06), fat=(0.3, 0.6), muscle_db=(-4, 1),
    face_db=(-6, 2), fasciae=(4, 9), fascia_db=(8, 15), streak_db=(2.0, 4.0), rib_odds=0.7, shadow_db=(-26, -14),
    onset_cm=(0.3, 1.2), pleura_db=(12, 18), air_db=(-8, -3), air_fall=(2.0, 5.0), copies_db=(-40, -18),
    a_lines_db=(8, 18), rays_db=(2.0, 4.0), air_streak_db=(1.2, 2.5), evenness=(1.8, 3.2), b_odds=0.6, b_db=(5, 10),
    depth=(0.4, 1.0), slide_cm=(0.6, 1.6), wall_cm=(0.5, 1.4), rise=(0.08, 0.25), renewal_hz=(1.5, 4.0),
    edge_odds=0.1, depth_gain_db=(-4, 2), gain_db=(-43, -36), dynamic_range_db=(56, 70), gamma=(1.1, 1.4),
    noise_db=(-66, -58), persistence=(0.0, 0.0), pulse_cm=(0.010, 0.018), beam_cm=(0.02, 0.035), jpeg=(70, 92),
    scan_hz=6.25)

STYLES = (_DARK, _BRIGHT, _WHITE, _FASCIA, _RIBS)


def draw_style(rng: np.random.Generator, view: str | None) -> Style:
    """Draw a style of a view, or of any."""
    styles = [style for style in STYLES if view in (None, style.view)]
    shares = np.array([style.share for style in styles])
    return styles[int(rng.choice(len(styles), p=shares / shares.sum()))]


def _lus_like(rng: np.random.Generator, request: Request) -> Plan:
    style = draw_style(rng, request.view)
    width, radius = _draw(rng, style.width_cm), _draw(rng, style.radius_cm) or math.inf
    height_cm = width * request.size[0] / request.size[1]
    half_width = 0.5 * width if math.isinf(radius) else _draw(rng, style.half_angle)
    probe = Probe(radius, half_width, height_cm * _draw(rng, style.bottom))
    wall = _wall(rng, style, width)
    motion = draw_motion(rng, _breathing(rng, style), request.duration_s, request.device)
    scene = _scene(rng, style, wall, motion, width, _seen_cm(probe, wall, width), request)
    settings = _settings(rng, style, probe, width / request.size[1], bool(scene.b_lines))
    finer = max(1.0, max(request.size) / BASE_SIDE)  # as much noise an area, not a sample, as in small pictures
    settings = replace(settings, noise_db=settings.noise_db + 20 * math.log10(finer))
    return Plan(style.view, scene, probe, settings)


def _seen_cm(probe: Probe, wall: Wall, width_cm: float) -> float:
    """Half of the length of the pleura that is in view."""
    if math.isinf(probe.radius_cm):
        return 0.5 * width_cm
    return min(0.5 * width_cm, (probe.radius_cm + wall.pleura_cm) * math.sin(probe.half_width))


def _draw(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))


def _wall(rng: np.random.Generator, style: Style, width_cm: float) -> Wall:
    pleura = _draw(rng, style.pleura_cm)
    ribs = _ribs(rng, style, pleura, width_cm) if rng.uniform() < style.rib_odds else ()
    return Wall(2 * width_cm, pleura, _draw(rng, style.tilt), _draw(rng, style.bend), _draw(rng, style.fat),
                fat_db=rng.uniform(-6, -2), muscle_db=_draw(rng, style.muscle_db),
                face_db=_draw(rng, style.face_db), streak_db=_draw(rng, style.streak_db),
                fasciae=round(_draw(rng, style.fasciae)), fascia_db=_draw(rng, style.fascia_db),
                evenness=_draw(rng, style.evenness), ribs=ribs)


def _ribs(rng: np.random.Generator, style: Style, pleura_cm: float, width_cm: float) -> tuple[Rib, ...]:
    """Ribs at about equal distances over the whole width and what may move into it."""
    spacing = rng.uniform(2.2, 3.2)
    first = rng.uniform(-0.5, 0.5) * spacing
    count = math.ceil(0.35 * width_cm / spacing)
    half_width, shadow = rng.uniform(0.45, 0.75), _draw(rng, style.shadow_db)
    above, onset = rng.uniform(0.12, 0.35) * pleura_cm, _draw(rng, style.onset_cm)
    return tuple(Rib(first + index * spacing + rng.normal(0, 0.12), half_width * rng.uniform(0.8, 1.2),
                     above * rng.uniform(0.8, 1.2), rng.uniform(2, 9), shadow * rng.uniform(0.7, 1.2), onset)
                 for index in range(-count, count + 1))


def _breathing(rng: np.random.Generator, style: Style) -> Breathing:
    return Breathing(
        rng.uniform(12, 25), _draw(rng, style.depth), _draw(rng, style.slide_cm), _draw(rng, style.wall_cm),
        _draw(rng, style.rise), beat_cm=rng.uniform(0.01, 0.08), hand_cm=rng.uniform(0.0, 0.12),
        renewal_hz=_draw(rng, style.renewal_hz), flicker_s=rng.uniform(0.5, 2.0))


def _scene(rng: np.random.Generator, style: Style, wall: Wall, motion: Motion, width_cm: float, seen_cm: float,
           request: Request) -> LungScene:
    """Draw what is found below the pleura."""
    air_db, air_fall = _draw(rng, style.air_db), _draw(rng, style.air_fall)
    rough = bool(rng.uniform() < 0.5)
    surface = Surface(
        _draw(rng, style.pleura_db), width_cm * rng.uniform(0.0025, 0.005) * (1.3 if rough else 1.0),
        width_cm * (rng.uniform(0.0015, 0.005) if rough else 0.0004), air_db, air_fall, _draw(rng, style.copies_db),
        _draw(rng, style.a_lines_db), _draw(rng, style.rays_db), _draw(rng, style.air_streak_db),
        _draw(rng, style.evenness), b_fall=rng.uniform(0.25, 0.6) * max(air_fall, 1.0))
    lesion = _lesion(rng, width_cm) if rng.uniform() < 0.12 else None
    b_lines: tuple[BLine, ...] = ()
    if rng.uniform() < style.b_odds:
        b_lines = place_b_lines(rng, int(rng.integers(1, MAX_B_LINES + 1)), wall, motion, seen_cm,
                                air_db + _draw(rng, style.b_db))
    findings = ["a-lines"] * (style.a_lines_db[0] < 16 and not b_lines) + ["b-lines"] * bool(b_lines)
    findings += ["white lung"] * (style is _WHITE and len(b_lines) > 2) + ["irregular pleura"] * rough
    findings += [lesion.kind] if lesion else []
    return LungScene(wall, surface, b_lines, lesion, motion, findings, style.scan_hz, rng, request.seed, request.device)


def _lesion(rng: np.random.Generator, width_cm: float) -> Lesion:
    kind = str(rng.choice(["consolidation", "effusion"], p=[0.7, 0.3]))
    deep = width_cm * (rng.uniform(0.04, 0.22) if kind == "consolidation" else rng.uniform(0.1, 0.3))
    half = width_cm * (rng.uniform(0.08, 0.22) if kind == "consolidation" else rng.uniform(0.3, 0.7))
    level = rng.uniform(-14, -7) if kind == "consolidation" else rng.uniform(-46, -32)
    return Lesion(kind, rng.uniform(-0.25, 0.25) * width_cm, half, deep, level,
                  rng.uniform(0.2, 0.4) if kind == "consolidation" else 0.05)


def place_b_lines(rng: np.random.Generator, count: int, wall: Wall, motion: Motion, seen_cm: float,
                  level_db: float) -> tuple[BLine, ...]:
    """Up to `count` B-lines that stay in view, apart from each other and between the ribs, however the lung slides."""
    along, across = motion.reach()
    limit = 0.9 * seen_cm - along
    width_cm = 0.5 * wall.span_cm
    slide = along + across
    lines: list[BLine] = []
    for _ in range(40 * count):
        sigma = width_cm * float(np.exp(rng.uniform(np.log(0.007), np.log(0.04))))
        place = rng.uniform(-1, 1) * limit
        free = all(abs(place - line.at_cm) > 1.6 * (sigma + line.sigma_cm) + 0.02 * width_cm for line in lines)
        covered = any(abs(place - rib.at_cm) < rib.half_width_cm + sigma + min(slide, 0.4) for rib in wall.ribs)
        if limit > 0 and free and not covered:
            lines.append(BLine(place, sigma, level_db + rng.uniform(-3, 3)))
        if len(lines) == count:
            break
    return tuple(sorted(lines, key=lambda line: line.at_cm))


def _settings(rng: np.random.Generator, style: Style, probe: Probe, cm_per_pixel: float, all_seen: bool) -> Settings:
    """Draw the scan; `all_seen`: no side of the probe is off the skin, where it would hide B-lines that count."""
    focus = probe.depth_cm * rng.uniform(0.3, 0.6)
    beam = _draw(rng, style.beam_cm)
    gains = np.linspace(0, _draw(rng, style.depth_gain_db), 6) + rng.normal(0, 1.0, 6)
    return Settings(
        wavelength_cm=0.05, pulse_cm=_draw(rng, style.pulse_cm),
        beam=beam if math.isinf(probe.radius_cm) else beam / (probe.radius_cm + focus), focus_cm=focus,
        spread=rng.uniform(0.3, 0.7), side_lobe_db=rng.uniform(-40, -30), depth_gain_db=tuple(gains),
        lateral_gain_db=_lateral_gain(rng, 0.0 if all_seen else style.edge_odds),
        clutter_db=-200.0 if style.scan_hz else rng.uniform(-10, 6),
        clutter_cm=rng.uniform(0.015, 0.04) * probe.depth_cm, haze_db=-200.0,
        noise_db=_draw(rng, style.noise_db), gain_db=_draw(rng, style.gain_db),
        dynamic_range_db=_draw(rng, style.dynamic_range_db), gamma=_draw(rng, style.gamma),
        persistence=_draw(rng, style.persistence), cm_per_pixel=cm_per_pixel,
        origin=(rng.uniform(0.47, 0.53) if probe.radius_cm < math.inf else 0.5, _draw(rng, style.top)),
        jpeg_quality=int(_draw(rng, style.jpeg)), marks=0)


def _lateral_gain(rng: np.random.Generator, edge_odds: float) -> tuple[float, ...]:
    """Gain across the probe: uneven, and low where it is off the skin."""
    at = np.linspace(-1, 1, 25)
    gains = rng.normal(0, 0.7, 25) - rng.uniform(0, 8) * np.abs(at) ** 3
    if rng.uniform() < edge_odds:
        side, edge, ramp = rng.choice([-1, 1]), rng.uniform(0.2, 0.9), rng.uniform(0.15, 0.6)
        gains -= rng.uniform(15, 45) * np.clip((side * at - edge) / ramp, 0, 1)
    return tuple(gains)


LUS_LIKE = Preset("Lung clips of curved and linear probes like those of the public lung collection.",
                  ("lung_convex", "lung_linear"), (240, 240), 25.0, (128, 256), _lus_like)
"""Views are drawn at the odds of the collection unless asked for."""
