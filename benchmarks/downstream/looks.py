"""Looks at a case through a version: few small frames for the network, features for a regressor, bytes and quality.

Kept in a folder, one file a case and version, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec, metrics
from lrmcodec.benchmarks.downstream.cases import LOOK_FRAMES, LOOK_SPAN_S, Case
from lrmcodec.benchmarks.downstream.features import coefficient_features, ventricle_features
from lrmcodec.benchmarks.downstream.versions import ORIGINAL, Version
from lrmcodec.benchmarks.measure.ours import Encode, encoder
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.formats.atomic import atomic_path
from lrmcodec.formats.clip import Clip
from lrmcodec.provenance import versions as library_versions
from lrmcodec.train.data import resize_area
from lrmcodec.train.pool import simulator_digest

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """What is kept of one case as seen through one version.

    Attributes
    ----------
    label : float
    frames : ndarray, (16, side, side) uint8
    coefficients, ventricle : ndarray, (n,) float64
        Features by `features`; empty for the original.
    readout : float
        Ejection fraction in percent that the file states; NaN where it states none.
    ratio, psnr_db : float
        Of the version's file; 1 and infinite for the original.
    """

    label: float
    frames: Frames
    coefficients: NDArray[np.float64]
    ventricle: NDArray[np.float64]
    readout: float
    ratio: float
    psnr_db: float


class Looks:
    """The folder of looks of one side.

    Parameters
    ----------
    folder : Path
    side : int
        Of the small frames, in pixels.
    device : str
        For decoders with weights.
    """

    def __init__(self, folder: Path, side: int, device: str) -> None:
        self.folder, self._side, self._device = folder, side, device
        self._made_by = f"{library_versions()} {simulator_digest()} {LOOK_FRAMES} {LOOK_SPAN_S} {side}"

    def get(self, case: Case, version: Version) -> Look:
        """A look that was made.

        Raises
        ------
        FileNotFoundError
            When it was not.
        """
        with np.load(self._path(case, version)) as arrays:
            return Look(float(arrays["label"]), arrays["frames"], arrays["coefficients"], arrays["ventricle"],
                        float(arrays["readout"]), float(arrays["ratio"]), float(arrays["psnr_db"]))

    def make(self, case: Case, versions: Sequence[Version]) -> None:
        """Make what is missing of a case; its clip is loaded, and fitted by each pack, once.

        Raises
        ------
        LrmError
            When the clip cannot be read or coded.
        """
        missing = [version for version in versions if not self._path(case, version).exists()]
        if not missing:
            return
        clip, label = case.load()
        for version, look in self._look(clip, label, missing):
            self._keep(look, self._path(case, version))

    def _look(self, clip: Clip, label: float, versions: Sequence[Version]) -> Iterator[tuple[Version, Look]]:
        none = np.empty(0)
        if ORIGINAL in versions:
            yield ORIGINAL, Look(label, small(clip.frames, clip.times_s, self._side), none, none, np.nan, 1.0, np.inf)
        for pack in dict.fromkeys(version.pack for version in versions if version.pack):
            of_pack = [version for version in versions if version.pack == pack]
            ranks = [version.setting for version in of_pack if version.setting.is_quality_at_rank]
            one_fit = encoder(clip, pack, self._device, ranks, True) if ranks else None
            anew = encoder(clip, pack, self._device, [], False)
            for version in of_pack:
                encode = one_fit if one_fit is not None and version.setting.is_quality_at_rank else anew
                yield version, self._decoded(clip, label, encode, version)

    def _decoded(self, clip: Clip, label: float, encode: Encode, version: Version) -> Look:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.lrm"
            encode(version.setting, path)
            file = codec.open(path, pack=version.pack if "/" in version.pack else None, device=self._device)
        frames = file.frames()
        stated = read_phase(file).ejection_fraction_percent
        return Look(label, small(frames, clip.times_s, self._side), coefficient_features(file),
                    ventricle_features(file), np.nan if stated is None else stated, file.ratio,
                    metrics.psnr_db(clip.frames, frames))

    def _keep(self, look: Look, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, force=True) as temporary:
            np.savez_compressed(temporary, **vars(look))

    def _path(self, case: Case, version: Version) -> Path:
        """Named after the case, and a digest of all that its look depends on."""
        key = f"{self._made_by} {case} {version}"
        if case.path:
            key += f" {Path(case.path).stat().st_size}" if Path(case.path).exists() else ""
        return self.folder / f"{case.name}.{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"


def small(frames: Frames, times_s: NDArray[np.float64], side: int) -> Frames:
    """Few frames of a clip (T, H, W), nearest to evenly spread times, reduced to (16, side, side)."""
    wanted = np.linspace(0, min(LOOK_SPAN_S, float(times_s[-1])), LOOK_FRAMES)
    nearest = np.abs(times_s[None] - wanted[:, None]).argmin(1)
    return resize_area(np.ascontiguousarray(frames[nearest]), (side, side))
