"""The worker of `bench` in place of the real one, with the quick coder."""

from __future__ import annotations

import sys
from pathlib import Path

from lrmcodec.benchmarks.measure import worker

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent))  # which -P leaves out
    import quick_coder

    quick_coder.cavities_found_once()
    quick_coder.quick_pictures()
    quick_coder.quick_peers()
    worker.main()
