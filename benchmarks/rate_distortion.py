"""Old home of `provenance`, for modules that still import it from here."""

from lrmcodec.benchmarks.provenance import provenance

__all__ = ["provenance"]
