"""Low-rank-modulated codec for ultrasound video."""

__version__ = "0.1.0"
