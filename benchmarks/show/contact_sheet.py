"""One picture of twelve simulated clips, as drawn by consecutive seeds.

python -m lrmcodec.benchmarks.show.contact_sheet -o docs/simulation.png [--seed 21]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lrmcodec.formats.atomic import write_atomic
from lrmcodec.simulate import Truth, simulate

PANELS = (*[("echonet_like", "a4c")] * 4, ("echonet_like", "a2c"), ("echonet_like", "psax"),
          *[("pocus_plax", "plax")] * 2, *[("lus_like", "lung_convex")] * 3, ("lus_like", "lung_linear"))
COLUMNS = 4
SIDE, CAPTION, GAP = 224, 18, 4
FRAME = 10


def draw(seed: int) -> Image.Image:
    """Panels with a caption each; frame 10 is shown."""
    rows = -(-len(PANELS) // COLUMNS)
    page = Image.new("L", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + CAPTION + GAP)), 255)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for index, (preset, view) in enumerate(PANELS):
        made = simulate(preset, seed + index, view=view, frame_count=FRAME)
        left, top = index % COLUMNS * (SIDE + GAP), index // COLUMNS * (SIDE + CAPTION + GAP)
        picture = Image.fromarray(made.clip.frames[-1]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        page.paste(picture, (left, top))
        pen.text((left + 2, top + SIDE + CAPTION / 2), f"{preset} {view} {_note(made.truth)}", 0, font, anchor="lm")
    return page


def _note(truth: Truth) -> str:
    if truth.b_line_count is not None:
        return f"{truth.b_line_count} B-lines"
    return "" if truth.ef_percent is None else f"EF {truth.ef_percent:.0f} %"


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args()
    buffer = io.BytesIO()
    draw(options.seed).quantize(64).save(buffer, "png", optimize=True)
    write_atomic(options.output, buffer.getvalue(), force=True)


if __name__ == "__main__":
    main()
