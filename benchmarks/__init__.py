"""Measurements of the codec and its peers.

from lrmcodec.benchmarks import Plan, bench
rows = bench(["clip.avi"], output="results", plan=Plan(ranks=(2, 8), peers=("av1",)))
"""

import lazy_loader

# Public names stand in __init__.pyi and are imported when they are first used: the probe and the worker start quickly.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
