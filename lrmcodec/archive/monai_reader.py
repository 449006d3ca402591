"""Reader of .lrm files for MONAI's `LoadImage`: frames or coefficients. MONAI is not needed to import this module."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec import codec
from lrmcodec.reader import LrmFile

try:
    _Base: Any = import_module("monai.data").ImageReader
except ImportError:
    _Base = object

SUFFIX = ".lrm"


class LrmReader(_Base):  # type: ignore[misc]
    """Reads .lrm files: `LoadImage(reader=LrmReader())`.

    Arrays are (W, H, T) float32, as MONAI lays out pictures: x, y and, here, time, gray levels 0 to 255; or, with
    `coefficients`, (T, r) float32 of the first segment. `affine` has the pixel spacing in mm, where the file's metadata
    give `pixel_spacing_mm`, else 1, and seconds a frame.

    Parameters
    ----------
    coefficients : bool
        Hand out coefficients instead of frames.
    pack : str, optional
        Folder of a decoder pack that does not come with lrmcodec.
    """

    def __init__(self, *, coefficients: bool = False, pack: str | None = None) -> None:
        super().__init__()
        self._coefficients, self._pack = coefficients, pack

    def verify_suffix(self, filename: Sequence[str | Path] | str | Path) -> bool:
        """Whether all names end in .lrm."""
        return all(Path(name).suffix.lower() == SUFFIX for name in _as_list(filename))

    def read(self, data: Sequence[str | Path] | str | Path, **_: Any) -> LrmFile | list[LrmFile]:
        """Open files; only headers are read."""
        files = [codec.open(name, pack=self._pack, device="cpu") for name in _as_list(data)]
        return files[0] if len(files) == 1 else files

    def get_data(self, img: LrmFile | Sequence[LrmFile]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Array and metadata of an opened file; several of one shape are stacked as channels in front."""
        files = [img] if isinstance(img, LrmFile) else list(img)
        arrays = [self._array(file) for file in files]
        meta = _meta(files[0], arrays[0].shape)
        if len(arrays) == 1:
            return arrays[0], meta
        return np.stack(arrays), {**meta, "original_channel_dim": 0}

    def _array(self, file: LrmFile) -> NDArray[np.float32]:
        if self._coefficients:
            return file.coeffs[0].astype(np.float32)
        return np.ascontiguousarray(file.frames().transpose(2, 1, 0).astype(np.float32))


def _as_list(names: Sequence[str | Path] | str | Path) -> list[str | Path]:
    return [names] if isinstance(names, str | Path) else list(names)


def _meta(file: LrmFile, shape: tuple[int, ...]) -> dict[str, Any]:
    down, across = file.metadata.get("pixel_spacing_mm", (1.0, 1.0))
    affine = np.diag([across, down, 1 / file.fps, 1.0])
    return {"affine": affine, "original_affine": affine.copy(), "spatial_shape": np.asarray(shape),
            "original_channel_dim": float("nan"), "fps": file.fps, "ratio": file.ratio}
