"""Where a clip shows ultrasound: the regions that its DICOM header names, or the fan found in the pixels.

Everything outside can be blanked before encoding, which saves bytes and takes off what is written beside the picture.
Nothing here de-identifies: what is written inside the fan stays, and a person has to look at the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import FrameCollector

if TYPE_CHECKING:
    from lrmcodec.formats.dicom_regions import Regions  # needs pydicom

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right are the first ones outside."""

SAMPLE_FRAMES = 48
"""Frames looked at, spread evenly over the clip."""

LIVE_LEVELS = 1.5
"""A pixel is live when its gray level varies over time by at least this standard deviation, or by a part of the
liveliest pixels': noise of a video codec beside the fan stays below both."""
LIVE_PART = 0.06

WINDOW = 0.05
"""Side of the windows, as a part of the clip's shorter side, in which the share of live pixels is looked at."""

SOLID = 0.5
"""Share of live pixels in a window, relative to the inside of the fan, from which on it belongs to the fan. At a
straight edge it is one half; letters and traces that change stay well below."""

SMALL_PART = 0.05
"""Pieces smaller than this part of the largest are left out."""

LINE_TOLERANCE = 0.012
"""Distance from a straight side, as a part of the clip's width, within which a boundary point lies on it."""

COVER = 0.99
"""Share of the moving pixels that a fitted fan must hold, or their convex hull is taken."""

FAINT_LEVELS = 0.4
FAINT_OVER = 2
"""Faint pixels vary by this standard deviation at least and stand these levels above the background: the deep parts of
a fan. They count only where they hang together with live ones."""

STIR_LEVELS = 0.2
STIR_SHARE = 0.3
"""A fitted fan may reach beyond the hull of what moves when so much of that part stirs at least a little: dim tissue
does (0.3 to 1.0 on 60 clips), black screen does not (0.0 to 0.25)."""

MARGIN = 0.006
"""Rim kept around what was found, as a part of the clip's shorter side."""

MARK_LEVELS = 48
"""Brightness over its surroundings from which on a pixel is part of a mark."""

STILL_LEVELS = 6
"""Range over time of a pixel inside the sector up to which it counts as drawn over the ultrasound."""

WHOLE = 0.95
"""Part of the picture from which on the regions of a header tell nothing: some machines name the whole screen."""

LEAST_LIVE = 0.01
"""Part of the picture that must be live for a fan to be looked for."""


@dataclass(frozen=True)
class Sector:
    """The part of every frame that is kept.

    Attributes
    ----------
    mask : ndarray, (H, W) bool
        True where pixels are kept.
    source : str
        'regions' of the DICOM header, a 'fan' or 'rectangle' fitted to the moving pixels, or their convex 'hull'.
    """

    mask: Mask
    source: str

    @property
    def kept(self) -> float:
        """Part (0 to 1) of the picture that is kept."""
        return float(self.mask.mean())

    def apply(self, clip: Clip) -> Clip:
        """The clip with every pixel outside set to 0; frames are copied, to a temporary file when they are many."""
        with FrameCollector("the masked clip") as collector:
            for frame in clip.frames:
                collector.add(np.where(self.mask, frame, np.uint8(0)))
            return replace(clip, frames=collector.finish())


def nothing(size: tuple[int, int]) -> Sector:
    """A sector without a pixel, for pictures in which none can be found."""
    return Sector(np.zeros(size, bool), "none")


def choose_sector(clip: Clip, regions: Sequence[Box] = ()) -> Sector:
    """The part of a clip to keep: the regions of its DICOM header if they tell anything, else the fan in the pixels.

    Parameters
    ----------
    clip : Clip
        Frames of at least two pictures, or regions that name a part.
    regions : sequence of (top, left, bottom, right)
        As `lrmcodec.formats.dicom_regions.Regions.boxes` gives them for the clip's size.

    Raises
    ------
    ClipError
        When no region helps and nothing moves.
    """
    mask = np.zeros(clip.frames.shape[1:], bool)
    for top, left, bottom, right in regions:
        mask[top:bottom, left:right] = True
    if 0 < mask.mean() < WHOLE:
        return Sector(mask, "regions")
    return find_sector(clip.frames)


def find_sector(frames: NDArray[np.uint8]) -> Sector:
    """Find the fan, (T, H, W) uint8: the convex part of the picture that changes over time.

    Raises
    ------
    ClipError
        When nothing moves, so that nothing tells the fan from what is written beside it.
    """
    sample = frames[np.unique(np.linspace(0, len(frames) - 1, SAMPLE_FRAMES).astype(int))]
    live, faint = _moving(sample)
    if live.mean() < LEAST_LIVE:
        raise ClipError("nothing moves in the clip, so the ultrasound sector cannot be told from what is beside it.",
                        "Leave --mask out, or use a DICOM file whose header names its regions.")
    core = _core(live, faint)
    content = core & (live | faint)
    margin = max(1, round(MARGIN * min(core.shape)))
    hull = np.asarray(convex_hull_image(core))  # type: ignore[no-untyped-call]
    hull = ndimage.binary_dilation(hull, iterations=margin)
    fan = _fan(core, live | faint)
    if fan is not None:
        mask = ndimage.binary_dilation(fan.mask, iterations=margin)
        if (mask & content).sum() >= COVER * content.sum():
            stirs = sample.astype(np.float32).std(axis=0)[mask & ~hull] >= STIR_LEVELS
            # The hull bridges the arc at the probe; a fan fitted to a part of the sides may reach too far.
            return Sector(mask if stirs.size and stirs.mean() >= STIR_SHARE else mask & hull, fan.source)
    return Sector(hull, "hull")


def _moving(sample: NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """Pixels that change much, and faint ones that change a little and are not as dark as the background."""
    spread = sample.astype(np.float32).std(axis=0)
    live = spread >= max(LIVE_LEVELS, LIVE_PART * float(np.percentile(spread, 99)))
    level = np.median(sample, axis=0)
    still = level[spread < FAINT_LEVELS].astype(int)
    background = int(np.bincount(still).argmax()) if len(still) else 0
    return live, (spread >= FAINT_LEVELS) & (level >= background + FAINT_OVER)


def _core(live: Mask, faint: Mask) -> Mask:
    """Where moving pixels are dense: without letters, traces and specks, and without small pieces apart."""
    pieces, count = ndimage.label(_dense(live))
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = np.isin(pieces, 1 + np.flatnonzero(areas >= SMALL_PART * areas.max()))
    pieces, _ = ndimage.label(_dense(live | faint) | large)
    return np.isin(pieces, np.unique(pieces[large]))


def _dense(pixels: Mask) -> Mask:
    """Where a good share of the pixels around is true."""
    window = max(3, round(WINDOW * min(pixels.shape)))
    share = ndimage.uniform_filter(pixels.astype(np.float32), window, mode="nearest")
    return np.asarray(share >= SOLID * float(np.percentile(share[share > 0], 75)))


def _fan(core: Mask, moving: Mask) -> Sector | None:
    """Fit two straight sides and, around the point where they meet, two arcs; None where the sides are not straight."""
    height, width = core.shape
    left, right = _side(core, leftmost=True), _side(core, leftmost=False)
    if left is None or right is None:
        return None
    y, x = np.mgrid[:height, :width].astype(np.float32)
    between = (x >= left[0] + left[1] * y - 0.5) & (x <= right[0] + right[1] * y + 0.5)
    opening = right[1] - left[1]  # columns by which the sides part from row to row
    if opening < 0.02:
        return Sector(between & _span(core, y), "rectangle")
    apex_y = (left[0] - right[0]) / opening
    apex_x = left[0] + left[1] * apex_y
    radius = np.hypot(y - apex_y, x - apex_x)
    below = between & (y > apex_y)
    first, last = _radii(radius, below, moving)
    return Sector(below & (radius >= first) & (radius <= last), "fan")


def _side(core: Mask, *, leftmost: bool) -> tuple[float, float] | None:
    """Straight line x = a + b * y that the core's left or right boundary follows, or None.

    Among the lines through pairs of boundary points, the one that most points lie on and hardly any lies outside of.
    Points on the frame's border are no boundary; where nearly all are, the border is the side.
    """
    rows = np.flatnonzero(core.any(axis=1))
    width = core.shape[1]
    columns = core[rows].argmax(axis=1) if leftmost else width - 1 - core[rows, ::-1].argmax(axis=1)
    border = 0 if leftmost else width - 1
    free = np.abs(columns - border) > LINE_TOLERANCE * width
    if free.mean() < 0.15:
        return float(border), 0.0
    rows, columns = rows[free].astype(np.float64), columns[free].astype(np.float64)
    picked = np.unique(np.linspace(0, len(rows) - 1, 60).astype(int))
    first, second = (pair.ravel() for pair in np.meshgrid(picked, picked, indexing="ij"))
    apart = rows[second] - rows[first] >= max(4.0, 0.2 * np.ptp(rows))
    first, second = first[apart], second[apart]
    if not len(first):
        return None
    slopes = (columns[second] - columns[first]) / (rows[second] - rows[first])
    starts = columns[first] - slopes * rows[first]
    outward = (starts[:, None] + slopes[:, None] * rows - columns) * (1 if leftmost else -1)  # > 0: point is outside
    tolerance = LINE_TOLERANCE * width
    on_line = (np.abs(outward) <= tolerance).sum(axis=1)
    outside = (outward > tolerance).sum(axis=1)
    best = int(np.argmax(on_line - 3.0 * outside))
    if on_line[best] < 0.25 * len(rows) or outside[best] > 0.03 * len(rows):
        return None
    on = np.abs(outward[best]) <= tolerance
    shift = max(0.0, float(np.percentile(outward[best][on], 95)))  # so that the points on the line are inside
    return float(starts[best]) - (shift if leftmost else -shift), float(slopes[best])


def _span(core: Mask, y: NDArray[np.float32]) -> Mask:
    rows = np.flatnonzero(core.any(axis=1))
    return np.asarray((y >= rows[0]) & (y <= rows[-1]))


def _radii(radius: NDArray[np.float32], between: Mask, moving: Mask) -> tuple[float, float]:
    """Radii of the first and the last ring, one pixel wide, of which a good part moves."""
    ring = np.rint(radius[between]).astype(int)
    total = np.bincount(ring)
    share = np.bincount(ring, moving[between], len(total)) / np.maximum(total, 1)
    full = np.flatnonzero(ndimage.uniform_filter1d(share, 5) >= 0.2 * float(np.percentile(share[total > 0], 75)))
    return float(full[0]) - 0.5, float(full[-1]) + 0.5


@dataclass(frozen=True)
class Mark:
    """A line of what looks like text: its box, and whether it stands in the part of the picture that is kept."""

    box: Box
    inside: bool


def find_marks(frames: NDArray[np.uint8], sector: Sector) -> list[Mark]:
    """Lines of what looks like text, (T, H, W) uint8: bright, small pieces of one height, several in a row.

    Outside the sector everything bright counts, also what stands for a moment only; inside only what never changes
    while most of what is around it does. Letters are told by their looks alone and nothing is read, so some will be
    missed and some will be none.
    """
    sample = frames[np.unique(np.linspace(0, len(frames) - 1, SAMPLE_FRAMES).astype(int))]
    outside = np.where(sector.mask, 0, sample.max(axis=0))
    still = np.ptp(sample, axis=0) <= STILL_LEVELS
    around = ndimage.uniform_filter(still.astype(np.float32), max(9, round(2 * WINDOW * min(still.shape))))
    inside = np.where(sector.mask & still & (around < 0.5), sample.min(axis=0), 0)
    return [Mark(box, kept) for kept, level, widest in ((False, outside, 3.0), (True, inside, 1.5))
            for box in _lines(_letters(level.astype(np.int16), widest), least=5 if kept else 3)]


def text_warnings(clip: Clip, regions: Regions) -> list[str]:
    """What to say about writing in a DICOM clip, as sentences without full stop; none where nothing is seen.

    Parameters
    ----------
    clip : Clip
        The clip, masked or not.
    regions : Regions
        What its header says.
    """
    texts = []
    if regions.burned_in:
        texts.append("its header says that annotation which can identify the patient is burned in")
    size = (clip.frames.shape[1], clip.frames.shape[2])
    try:
        sector = choose_sector(clip, regions.boxes(size))
    except ClipError:
        sector = nothing(size)  # a still: anything may be text
    marks = find_marks(clip.frames, sector)
    if marks:
        (top, left, _, _), lines = marks[0].box, f"{len(marks)} line{'s' * (len(marks) > 1)}"
        texts.append(f"{lines} of what looks like text, the first at row {top}, column {left}, may name the patient")
    return texts


def _letters(level: NDArray[np.int16], widest: float) -> list[Box]:
    """Boxes of bright pieces of a letter's size, from left to right; `widest` in heights."""
    size = max(9, round(0.06 * min(level.shape)) | 1)
    around = ndimage.median_filter(level[::2, ::2], size // 2 | 1).repeat(2, 0).repeat(2, 1)
    pieces, _ = ndimage.label(level - around[:level.shape[0], :level.shape[1]] >= MARK_LEVELS, np.ones((3, 3)))
    tallest = max(8, round(0.08 * level.shape[0]))
    found = [(part[0].start, part[1].start, part[0].stop, part[1].stop) for part in ndimage.find_objects(pieces)]
    sizes = [(bottom - top, right - left) for top, left, bottom, right in found]
    letters = [box for box, (height, width) in zip(found, sizes, strict=True)
               if 4 <= height <= tallest and width <= widest * height + 2]
    return sorted(letters, key=lambda box: (box[1], box[0]))


def _lines(letters: Sequence[Box], least: int) -> list[Box]:
    """Boxes of at least so many letters that stand beside each other."""
    lines: list[list[Box]] = []
    for letter in letters:
        for line in lines:
            if _follows(line[-1], letter):
                line.append(letter)
                break
        else:
            lines.append([letter])
    return sorted((min(box[0] for box in line), line[0][1], max(box[2] for box in line), max(box[3] for box in line))
                  for line in lines if len(line) >= least)


def _follows(before: Box, after: Box) -> bool:
    """Whether a letter stands to the right of another one, of about its height and on its line."""
    height, other = before[2] - before[0], after[2] - after[0]
    overlap = min(before[2], after[2]) - max(before[0], after[0])
    gap = after[1] - before[3]
    return overlap >= 0.5 * min(height, other) and max(height, other) <= 2.5 * min(height, other) \
        and -1 <= gap <= 1.5 * max(height, other)
