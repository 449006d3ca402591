"""Simulated ultrasound clips with exact ground truth.

`phantom` is a quick heart without torch for demonstrations and tests; `simulate` makes the real thing.
"""

import lazy_loader

# Public names stand in __init__.pyi and are imported, and torch with them, when they are first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
