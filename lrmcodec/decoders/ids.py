"""Ids of decoder architectures: the one place where they stand. Frozen; a number is never reused."""

from __future__ import annotations

from enum import IntEnum


class Architecture(IntEnum):
    """Architectures that this version decodes, as files and packs name them."""

    SPATIAL = 2
    GRID_SIREN = 3
    AUTOENCODER = 4
    WAVELET = 5
    GATED_SIREN = 6
    REFINED_WAVELET = 7

    @property
    def label(self) -> str:
        """Name in packs' cards and in SPEC.md."""
        return self.name.lower().replace("_", "-")


RETIRED = {1: "siren"}
"""Architectures of versions that were never released, by the name that they had: refused, never given anew."""
