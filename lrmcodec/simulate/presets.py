"""Kinds of simulated clips."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from lrmcodec.simulate.heart.anatomy import SHAPES, VIEWS, draw_anatomy
from lrmcodec.simulate.heart.heartbeat import RHYTHMS, draw_heartbeat
from lrmcodec.simulate.heart.motion import Delays, Motion, Regional, draw_sway
from lrmcodec.simulate.heart.scene import HeartScene, Slice
from lrmcodec.simulate.heart.tissue import draw_looks, paint
from lrmcodec.simulate.lung.presets import LUS_LIKE
from lrmcodec.simulate.plan import Plan, Preset, Request
from lrmcodec.simulate.scan import Probe, Settings


@dataclass(frozen=True)
class Patients:
    """What hearts a preset draws.

    Attributes
    ----------
    rates_bpm : tuple of float
    rhythm_odds : tuple of float
        Of sinus, irregular and ectopic rhythm.
    disease : float
        Probability of a dilated, of a hypertrophic heart, of effusion, of a regional disorder: each this much.
    unrest : tuple of float
        Range of whole-heart motion; see `motion.draw_sway`.
    """

    rates_bpm: tuple[float, float]
    rhythm_odds: tuple[float, float, float]
    disease: float
    unrest: tuple[float, float]


def draw_heart(rng: np.random.Generator, request: Request, view: str, patients: Patients) -> HeartScene:
    """Draw a patient and how the heart moves."""
    shape = str(rng.choice(SHAPES, p=[1 - 2 * patients.disease, *[patients.disease] * 2]))
    has_effusion, has_regional = rng.uniform(size=2) < patients.disease
    rhythm = str(rng.choice(RHYTHMS, p=patients.rhythm_odds))
    anatomy = draw_anatomy(rng, view, shape, bool(has_effusion))
    looks = draw_looks(rng)
    generator = torch.Generator(request.device).manual_seed(request.seed)
    tissue = paint(anatomy, looks, rng, generator, request.device)
    rate = float(np.exp(rng.uniform(*np.log(patients.rates_bpm))))
    beat_rng = rng.spawn(1)[0]  # its draws depend on the length of the clip, the patient must not
    beat = draw_heartbeat(beat_rng, request.duration_s, rate, rhythm)
    low, high = {"normal": (0.45, 0.78), "dilated": (0.15, 0.45), "hypertrophic": (0.5, 0.78)}[shape]
    regional = Regional(int(rng.choice([-1, 1])), float(rng.uniform(0.1, 0.9)), float(rng.uniform(0, 0.3)),
                        float(max(rng.uniform(-0.15, 0.15), 0)))
    sway = draw_sway(rng, float(rng.uniform(*patients.unrest)))
    delays = Delays(float(rng.uniform(0, 0.03)), float(rng.uniform(-0.02, 0.02)))
    motion = Motion(anatomy, beat, sway, float(rng.uniform(low, high)), delays, regional if has_regional else None,
                    request.device)
    findings = [shape] * (shape != "normal") + ["effusion"] * bool(has_effusion)
    findings += [f"wall motion: {'positive' if regional.side > 0 else 'negative'} side"] * bool(has_regional)
    plane = Slice(rng.uniform(1.1, 2.1), rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.4), rng.uniform(0, 2 * np.pi),
                  rng.uniform(0.6, 1.0), rng.uniform(-3, 3))
    return HeartScene(anatomy, tissue, motion, plane, looks.valve_db, findings, generator, request.device)


def _curve(rng: np.random.Generator, knots: int, spread_db: float) -> tuple[float, ...]:
    return tuple(spread_db * rng.standard_normal(knots))


def _settings(rng: np.random.Generator, depth_cm: float, cm_per_pixel: float, origin: tuple[float, float]) -> Settings:
    """A cardiac scan with a phased array."""
    lateral = np.array(_curve(rng, 7, 4.0))
    lateral[[0, -1]] -= rng.uniform(2, 20, 2)
    lateral[int(rng.choice([1, 4, 5]))] -= max(rng.uniform(-18, 18), 0)  # a wall along the beam drops out
    return Settings(
        wavelength_cm=rng.uniform(0.045, 0.09), pulse_cm=rng.uniform(0.035, 0.06), beam=rng.uniform(0.010, 0.018),
        focus_cm=rng.uniform(6, 10), spread=rng.uniform(0.4, 1.0), side_lobe_db=rng.uniform(-38, -28),
        depth_gain_db=_curve(rng, 6, 3.0), lateral_gain_db=tuple(lateral),
        clutter_db=rng.uniform(-26, -8), clutter_cm=rng.uniform(0.5, 1.5), haze_db=rng.uniform(-62, -44),
        noise_db=rng.uniform(-70, -50), gain_db=rng.uniform(-7, 3), dynamic_range_db=rng.uniform(38, 50),
        gamma=rng.uniform(0.9, 1.5), persistence=rng.uniform(0, 0.25), cm_per_pixel=cm_per_pixel, origin=origin,
        jpeg_quality=None, marks=0)


def _echonet_like(rng: np.random.Generator, request: Request) -> Plan:
    view = request.view or "a4c"
    patients = Patients((45, 130), (0.86, 0.07, 0.07), 0.12, (0.2, 1.0))
    scene = draw_heart(rng, request, view, patients)
    depth = rng.uniform(15.0, 17.5)
    height = request.size[0]
    top = rng.uniform(0.03, 0.08)
    settings = _settings(rng, depth, depth / (height * (1 - top) * rng.uniform(0.97, 1.04)),
                         (rng.uniform(0.50, 0.60), top))
    settings = replace(settings, jpeg_quality=int(rng.integers(80, 97)), marks=request.seed + 1)
    return Plan(view, scene, Probe(0.0, rng.uniform(0.70, 0.80), depth), settings)


def _pocus_plax(rng: np.random.Generator, request: Request) -> Plan:
    view = request.view or "plax"
    patients = Patients((50, 130), (0.8, 0.1, 0.1), 0.15, (1.0, 3.0))
    scene = draw_heart(rng, request, view, patients)
    depth = rng.uniform(13.5, 17.0)
    settings = _settings(rng, depth, depth / (request.size[0] * 0.96), (rng.uniform(0.47, 0.53), 0.02))
    settings = replace(settings, noise_db=settings.noise_db + 6, beam=settings.beam * 1.4, haze_db=settings.haze_db + 6,
                       persistence=rng.uniform(0.2, 0.6), jpeg_quality=int(rng.integers(60, 92)))
    return Plan(view, scene, Probe(0.0, rng.uniform(0.6, 0.75), depth), settings)


PRESETS: dict[str, Preset] = {
    "echonet_like": Preset("Apical clips of the size, rate, length and look of EchoNet-Dynamic.", VIEWS, (112, 112),
                           50.0, (130, 220), _echonet_like),
    "pocus_plax": Preset("Parasternal clips of a hand-held scanner, noisier and less steady: for tests away from the "
                         "training data.", ("plax", "psax", "a4c", "a2c"), (112, 112), 30.0, (60, 180), _pocus_plax),
    "lus_like": LUS_LIKE,
}
