"""Arrays as .npz without the time of writing (numpy stamps members), so that equal arrays give equal bytes."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray


def member(name: str) -> zipfile.ZipInfo:
    """Entry of a deflated zip file for an array, dated to the beginning of zip's calendar."""
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def npz_bytes(**arrays: NDArray[Any]) -> bytes:
    """Bytes of a deflated .npz file that `numpy.load` reads."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(member(name), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()
