"""A simple beating heart seen from the apex, with its end-diastolic and end-systolic frames.

An apical four-chamber cartoon: a sector with four dark chambers, echogenic walls and a bright far wall. The
tissue carries fixed echogenicity and speckle; each frame looks them up at the place where its tissue was at
end diastole, so that speckle moves with the wall. Good enough for demos, tests and a first training set; it
has no valves, no papillary muscles and no physics of sound.

Lengths are in units of the frame height, with (0, 0) at the middle of the upper edge, x to the right and
y down. Levels are in decibels relative to the bright end of the display range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.clip import Clip, uniform_times

Array = NDArray[np.float32]

OVERSAMPLING = 3
"""Samples a pixel of the still picture of the tissue, so that nearest look-up moves in thirds of a pixel."""

ANGLE_LIMIT = 1.1
"""Half-width in radians of the polar speckle field; wider than any sector."""


@dataclass(frozen=True)
class Phantom:
    """A simulated clip and its truth.

    Attributes
    ----------
    clip : Clip
    ed_frames, es_frames : ndarray, (n,) int
        Frames of largest and smallest left-ventricular cavity, one a beat, as far as they lie in the clip.
    cavity_volume : ndarray, (T,) float64
        Left-ventricular volume of each frame as a fraction of the end-diastolic one.
    """

    clip: Clip
    ed_frames: NDArray[np.intp]
    es_frames: NDArray[np.intp]
    cavity_volume: NDArray[np.float64]


@dataclass(frozen=True)
class Anatomy:
    """Geometry and appearance of one simulated patient and scan."""

    center: tuple[float, float]  # of the left ventricle at end diastole
    half_axes: tuple[float, float]  # across and along, at end diastole
    tilt: float  # radians, clockwise
    wall: float  # thickness as a fraction of the half-axis across
    sector_half_angle: float  # radians
    sector_top: float  # y of the sector's apex
    sector_depth: float
    blood_db: float
    wall_db: float
    outside_db: float
    far_wall_db: float
    noise_db: float
    dynamic_range_db: float
    patches_db: float  # standard deviation of slow changes of echogenicity along the tissue
    patch_size: float
    speckle_size: tuple[float, float]  # along the beam, in frame heights, and across it, in radians
    gain_waves: NDArray[np.float64]  # (n, 4): amplitude dB, waves across, waves in depth, phase
    drift: float  # amplitude of slow probe motion, frame heights


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a plausible patient and scan."""
    across = rng.uniform(0.10, 0.15)
    top = rng.uniform(0.02, 0.10)
    waves = np.stack([rng.uniform(1, 7, 5), rng.uniform(-1.5, 1.5, 5), rng.uniform(0, 1.5, 5),
                      rng.uniform(0, 2 * np.pi, 5)], axis=1)
    return Anatomy(
        center=(rng.uniform(-0.02, 0.12), top + rng.uniform(0.30, 0.38)),
        half_axes=(across, across * rng.uniform(1.5, 2.1)),
        tilt=rng.uniform(-0.25, 0.25),
        wall=rng.uniform(0.25, 0.5),
        sector_half_angle=rng.uniform(0.62, 0.85),
        sector_top=top,
        sector_depth=rng.uniform(0.86, 1.0) - top / 2,
        blood_db=rng.uniform(-62, -42),
        wall_db=rng.uniform(-28, -8),
        outside_db=rng.uniform(-46, -24),
        far_wall_db=rng.uniform(-20, -2),
        noise_db=rng.uniform(-60, -42),
        dynamic_range_db=rng.uniform(42, 58),
        patches_db=rng.uniform(2.0, 9.0),
        patch_size=rng.uniform(0.02, 0.06),
        speckle_size=(rng.uniform(0.005, 0.011), rng.uniform(0.010, 0.028)),
        gain_waves=waves,
        drift=rng.uniform(0.0, 0.02),
    )


def volume_curve(phase: NDArray[np.float64], ejection_fraction: float,
                 es_phase: float) -> NDArray[np.float64]:
    """Left-ventricular volume over one beat as a fraction of the end-diastolic one.

    Ejection to `es_phase`, rapid filling (70 % of the stroke), diastasis, atrial contraction: the usual shape
    of a volume curve, each part half a cosine.

    Parameters
    ----------
    phase : ndarray, float64
        Position within the beat, 0 (end diastole) to 1.
    ejection_fraction : float
        Stroke volume over end-diastolic volume, 0 to 1.
    es_phase : float
        Where the volume is least, 0 to 1.
    """
    diastole = (phase - es_phase) / (1.0 - es_phase)
    filled = 0.7 * _half_cosine(diastole / 0.45) + 0.3 * _half_cosine((diastole - 0.72) / 0.28)
    emptied = np.where(phase < es_phase, _half_cosine(phase / es_phase), 1.0 - filled)
    return np.asarray(1.0 - ejection_fraction * emptied)


def _half_cosine(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise smoothly from 0 at x <= 0 to 1 at x >= 1."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0)))


def phantom(frame_count: int = 100, size: tuple[int, int] = (112, 112), fps: float = 50.0,
            heart_rate_bpm: float = 70.0, ejection_fraction: float = 0.6, seed: int = 0) -> Phantom:
    """Simulate a beating heart with ground truth.

    Parameters
    ----------
    frame_count : int
        Frames, at least 1.
    size : tuple of int
        Height and width in pixels.
    fps, heart_rate_bpm : float
        Frames a second; beats a minute (each beat varies by about 2 %).
    ejection_fraction : float
        0 to 1.
    seed : int
        Fixes patient, scan, rhythm and noise.
    """
    rng = np.random.default_rng(seed)
    anatomy = draw_anatomy(rng)
    times = uniform_times(frame_count, fps)
    beats = _beat_times(rng, float(times[-1]), 60.0 / heart_rate_bpm)
    es_phase = float(rng.uniform(0.33, 0.42))
    beat = np.searchsorted(beats, times, side="right") - 1
    lengths = np.diff(beats)
    volume = volume_curve((times - beats[beat]) / lengths[beat], ejection_fraction, es_phase)
    clip = Clip(_render(anatomy, volume, times, size, rng), times, {"source": "phantom", "seed": seed})
    return Phantom(clip, _frames_at(beats, fps, frame_count),
                   _frames_at(beats[:-1] + es_phase * lengths, fps, frame_count), volume)


def beating_heart(frame_count: int = 100, size: tuple[int, int] = (112, 112), fps: float = 50.0,
                  heart_rate_bpm: float = 70.0, ejection_fraction: float = 0.6, seed: int = 0) -> Clip:
    """Clip of `phantom` without its truth; parameters as there."""
    return phantom(frame_count, size, fps, heart_rate_bpm, ejection_fraction, seed).clip


def demonstration_heart(size: tuple[int, int] = (160, 160)) -> Phantom:
    """The quick heart of `lrmcodec demo` and `lrmcodec bench --set demo`: 100 frames."""
    return phantom(size=size, seed=4)


def random_phantom(seed: int, frame_count: int = 64, size: tuple[int, int] = (112, 112)) -> Phantom:
    """Simulate a heart whose rate, ejection fraction and frame rate are drawn from `seed` too."""
    rng = np.random.default_rng([seed, 1])
    return phantom(frame_count, size, fps=float(rng.uniform(30, 60)),
                   heart_rate_bpm=float(rng.uniform(45, 115)),
                   ejection_fraction=float(rng.uniform(0.2, 0.75)), seed=seed)


def _beat_times(rng: np.random.Generator, duration_s: float, period_s: float) -> NDArray[np.float64]:
    """Draw the times of end diastole in seconds, from the one at or before 0 to the first after the clip."""
    count = int(duration_s / (0.8 * period_s)) + 4
    lengths = period_s * (1.0 + np.clip(0.02 * rng.standard_normal(count), -0.1, 0.1))
    times = np.cumsum(lengths) - lengths[0] - rng.uniform() * lengths[1]
    first = int(np.searchsorted(times, 0.0, side="right")) - 1
    last = int(np.searchsorted(times, duration_s, side="right"))
    return np.asarray(times[first:last + 1])


def _frames_at(times: NDArray[np.float64], fps: float, frame_count: int) -> NDArray[np.intp]:
    """Nearest frame numbers of `times` in seconds, those inside the clip."""
    frames = np.rint(times * fps).astype(np.intp)
    return frames[(frames >= 0) & (frames < frame_count)]


def _render(anatomy: Anatomy, volume: NDArray[np.float64], times: NDArray[np.float64],
            size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Frames (T, H, W) uint8 of a patient whose cavity volume is given for each frame."""
    x, y = _grid(size, 1)
    gain = _gain_db(anatomy, x, y, size)
    tissue = _tissue_db(anatomy, *_grid(size, OVERSAMPLING)) + _patches_db(anatomy, size, rng)
    tissue += _speckle_db(anatomy, size, rng)
    noise = np.float32(10.0 ** (anatomy.noise_db / 10.0))
    span = np.float32(anatomy.dynamic_range_db)
    frames = np.empty((len(times), *size), dtype=np.uint8)
    for index, (now, filling) in enumerate(zip(times, volume, strict=True)):
        power = _look_up(tissue, *_material(anatomy, x, y, float(filling), float(now)), size)
        flicker = _smooth_noise(size, rng)
        level = 10.0 * np.log10(power + noise * flicker) + gain
        frames[index] = np.clip(level / span + 1.0, 0.0, 1.0) * 255.0 + 0.5
    return frames


def _grid(size: tuple[int, int], factor: int) -> tuple[Array, Array]:
    """Place of every sample of a picture with `factor` samples a pixel along each axis."""
    height, width = size
    y = (np.arange(height * factor, dtype=np.float32) + 0.5) / (height * factor)
    x = (np.arange(width * factor, dtype=np.float32) + 0.5) / (height * factor) - 0.5 * width / height
    return np.asarray(x[None, :], np.float32), np.asarray(y[:, None], np.float32)


def _material(anatomy: Anatomy, x: Array, y: Array, volume: float, time_s: float) -> tuple[Array, Array]:
    """Where the tissue now at (x, y) was at end diastole.

    Inside the cavity's ellipse the map is linear (the cavity shrinks across and along, its base moves towards
    the apex); outside it fades, which thickens the wall.
    """
    across, along = anatomy.half_axes
    squeeze_across, squeeze_along = volume ** 0.4, volume ** 0.25
    sway = anatomy.drift * float(np.sin(2 * np.pi * 0.27 * time_s))
    dx, dy = x - anatomy.center[0] - sway, y - anatomy.center[1] - 0.5 * sway
    u, w = _turn(dx, dy, anatomy.tilt)
    lift = 0.8 * along * (1.0 - squeeze_along)  # the apex stays nearly where it is
    inside_u, inside_w = u / squeeze_across, (w + lift) / squeeze_along
    beyond = np.maximum(np.hypot(inside_u / across, inside_w / along) - 1.0, 0.0)
    weight = 1.0 / (1.0 + (beyond / 0.6) ** 2)
    u, w = u + weight * (inside_u - u), w + weight * (inside_w - w)
    back_x, back_y = _turn(u, w, -anatomy.tilt)
    return back_x + anatomy.center[0], back_y + anatomy.center[1]


def _turn(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Rotate coordinates by `angle` radians."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * x + sine * y, cosine * y - sine * x


def _look_up(tissue_db: Array, x: Array, y: Array, size: tuple[int, int]) -> Array:
    """Echo power at material places, nearest sample of the oversampled still picture."""
    scale = np.float32(size[0] * OVERSAMPLING)
    rows = np.clip(y * scale, 0, tissue_db.shape[0] - 1).astype(np.int32)
    columns = np.clip(x * scale + tissue_db.shape[1] / 2, 0, tissue_db.shape[1] - 1).astype(np.int32)
    return np.asarray(np.float32(10.0) ** (tissue_db[rows, columns] / np.float32(10.0)))


def _edge(distance: Array, softness: float) -> Array:
    """1 well inside (distance below 0), 0 well outside."""
    return np.asarray(0.5 - 0.5 * np.tanh(distance / softness), dtype=np.float32)


def _tissue_db(anatomy: Anatomy, x: Array, y: Array) -> Array:
    """Echogenicity in dB of the still tissue at end diastole, before speckle."""
    across, along = anatomy.half_axes
    u, w = _turn(x - anatomy.center[0], y - anatomy.center[1], anatomy.tilt)
    u, w = u / across, w / along
    chambers = np.stack([  # signed distance, about in units of the half-axis across
        np.hypot(u, w) - 1.0,  # left ventricle
        np.hypot((u + 1.0 + anatomy.wall + 0.62) / 0.72, (w - 0.25) / 0.72) - 1.0,  # right ventricle
        np.hypot((u - 0.05) / 0.85, (w - 1.62) / 0.5) - 1.0,  # left atrium
        np.hypot((u + 1.0 + anatomy.wall + 0.4) / 0.75, (w - 1.58) / 0.5) - 1.0])  # right atrium
    nearest = chambers.min(axis=0)
    far = np.hypot(x, y - 0.2) - (0.64 + 0.05 * np.sin(5 * x))
    level = anatomy.outside_db + (anatomy.wall_db - anatomy.outside_db) * _edge(nearest - anatomy.wall, 0.18)
    level = level + (anatomy.far_wall_db - level) * _edge(np.abs(far) - 0.035, 0.02)
    return np.asarray(level + (anatomy.blood_db - level) * _edge(nearest, 0.08), dtype=np.float32)


def _gain_db(anatomy: Anatomy, x: Array, y: Array, size: tuple[int, int]) -> Array:
    """Gain over the picture in dB: slow waves in angle and depth, and nothing outside the sector."""
    depth, angle = np.hypot(x, y - anatomy.sector_top), np.arctan2(x, y - anatomy.sector_top)
    gain = 6.0 * np.exp(-depth / 0.12)  # near-field haze
    for decibels, across, along, phase in anatomy.gain_waves:
        gain = gain + decibels * np.cos(2 * np.pi * (across * angle + along * depth) + phase)
    outside = (np.abs(angle) > anatomy.sector_half_angle) | (depth > anatomy.sector_depth)
    return np.where(outside, np.float32(-1000.0), gain).astype(np.float32)


def _patches_db(anatomy: Anatomy, size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Slow changes of echogenicity in dB along the tissue, as of fat, fibrosis and fiber direction."""
    x, y = _grid(size, OVERSAMPLING)
    side = 128
    samples_a_height = side / max(1.0, size[1] / size[0])
    field = _low_pass(rng.standard_normal((2, side, side)), (anatomy.patch_size * samples_a_height,) * 2).real
    row = np.clip(y * samples_a_height, 0, side - 1).astype(np.int32)
    column = np.clip((x - x.min()) * samples_a_height, 0, side - 1).astype(np.int32)
    patches: Array = (anatomy.patches_db / field.std() * field).astype(np.float32)
    return np.asarray(patches[row, column])


def _speckle_db(anatomy: Anatomy, size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Fully developed speckle in dB: the power of a filtered complex Gaussian field, in polar coordinates."""
    x, y = _grid(size, OVERSAMPLING)
    rows, columns = 2 * size[0], 2 * size[0]
    sigma = (anatomy.speckle_size[0] * rows / 1.5, anatomy.speckle_size[1] * columns / (2 * ANGLE_LIMIT))
    power = np.abs(_low_pass(rng.standard_normal((2, rows, columns)), sigma)) ** 2
    decibels: Array = (10.0 * np.log10(power / power.mean() + 1e-3)).astype(np.float32)
    depth, angle = np.hypot(x, y - anatomy.sector_top), np.arctan2(x, y - anatomy.sector_top)
    row = np.clip(depth * (rows / 1.5), 0, rows - 1).astype(np.int32)
    column = np.clip((angle / ANGLE_LIMIT + 1.0) * (columns / 2), 0, columns - 1).astype(np.int32)
    return np.asarray(decibels[row, column])


def _low_pass(pair: NDArray[np.float64], sigma: tuple[float, float]) -> NDArray[np.complex128]:
    """Filter a complex field, given as real and imaginary parts, with a Gaussian of `sigma` samples."""
    fields = np.fft.fft2(pair[0] + 1j * pair[1])
    for axis, width in enumerate(sigma):
        response = np.exp(-2.0 * (np.pi * width * np.fft.fftfreq(fields.shape[axis])) ** 2)
        fields *= response[:, None] if axis == 0 else response[None, :]
    return np.asarray(np.fft.ifft2(fields), np.complex128)


def _smooth_noise(size: tuple[int, int], rng: np.random.Generator) -> Array:
    """Power of electronic noise, mean 1, new in each frame, a little correlated across the beam."""
    power = rng.standard_exponential((size[0], size[1] + 1), dtype=np.float32)
    return np.asarray(0.5 * (power[:, 1:] + power[:, :-1]))
