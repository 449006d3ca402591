"""Results of this version, from committed rows into the README: a table for each set and one plot for all.

python -P -m lrmcodec.benchmarks.show.readme [ROOT]

ROOT is the checkout. Rows are read from benchmarks/results/SET/rows.tsv; the block between the README's markers is
replaced, and docs/rate_distortion.png drawn again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

from lrmcodec.benchmarks.measure.campaign import ROWS
from lrmcodec.benchmarks.measure.rows import OURS, Row, read_rows
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.show import plots
from lrmcodec.benchmarks.show.names import name_of
from lrmcodec.benchmarks.show.summary import at_equal_bytes, bd_table, facts, phase_table
from lrmcodec.benchmarks.show.worst import lossless_margins, range_table
from lrmcodec.benchmarks.table import MISSING
from lrmcodec.decoders.registry import DEFAULT_PACK
from lrmcodec.formats.atomic import write_atomic

BEGIN, END = "<!-- results -->", "<!-- /results -->"
RESULTS, PICTURE = Path("benchmarks/results"), Path("docs/rate_distortion.png")
SETS = {
    "cardiac_sample": "Three apical four-chamber clips of EchoNet-Dynamic (Ouyang et al. 2020), 112x112, 50 frames a "
                      "second",
    "lung_test": "Five lung clips of patients held out from training and tuning, reduced to 112x112",
    "simulated": "Six simulated hearts of seeds that nothing was trained on, 112x112, 50 frames a second",
}
WHOLE_RANGE = {"cardiac_sample": ("all_rates/cardiac", "hearts"), "lung_test": ("all_rates/lung", "lungs"),
               "simulated": ("all_rates/simulated", "simulated")}
"""Of sets, where their rows over the whole range are, and what their clips are called in its table."""

TITLES = ("Hearts (EchoNet-Dynamic)", "Lungs", "Simulated hearts")
OURS_SHOWN, STILLS = OURS + DEFAULT_PACK, f"{OURS}spatial"
WIDTH = 120
SHOWN = tuple(Setting("ratio", ratio) for ratio in (100, 300, 1000, 3000))
READOUT_SHOWN = Setting("ratio", 1000)
PEERS = ("lowrank-av1", "av1", "x265", "vp9")
ANCHOR = "av1"
INTRO = (
    "Mean PSNR in dB / SSIM3D at equal bytes, every byte of the file counted, decoded from disk by a separate "
    "process. AV1 (SVT-AV1 preset 2), x265 (veryslow) and VP9 stand for the best of every frame, every 2nd, 4th, 8th "
    "or 16th frame with linear blending, and reduced size; a dash where one of the clips cannot be made so small. "
    "\"Low rank + AV1 still\" is the plainest codec of this kind. The default pack, `refined`, was trained on "
    "simulated hearts and lung clips of other patients; `spatial` is not trained. Quantizer steps were tuned on other "
    "lung clips and simulated hearts; ideas that were dropped were also looked at on the cardiac clips, and two of the "
    "lung clips showed faults of the size search, since mended (benchmarks/LOG.md)."
)
WIDE = (
    "The whole range on the clips of the three sets: means, the best of AV1 (presets 2 and 5, 8 and 10 bits) at equal "
    "bytes, and the clip that does worst against it, by PSNR and by SSIM3D. Clip by clip, at recorded size, and what "
    "was not measured: [benchmarks/results/all_rates](benchmarks/results/all_rates/README.md)."
)
OUTRO = (
    "Made with `lrmcodec bench`, rows in `benchmarks/results/`; this block with `python -P -m "
    "lrmcodec.benchmarks.show.readme`. How it is measured: [docs/benchmarks.md](docs/benchmarks.md); speed and memory: "
    "[benchmarks/results/speed.md](benchmarks/results/speed.md); what was tried: "
    "[benchmarks/LOG.md](benchmarks/LOG.md)."
)


def block(root: Path) -> str:
    """Text between the markers, made from the rows under `root`."""
    wide = {called: rows for (_, called), rows in zip(WHOLE_RANGE.values(), read_wide(root).values(), strict=True)}
    parts = [INTRO, f"![PSNR and SSIM3D against ratio on three sets of clips]({PICTURE})", WIDE,
             range_table(wide, OURS_SHOWN).markdown(), *_exact(wide)]
    for name, rows in read_sets(root).items():
        shown = [row for row in rows if not row.is_ours or row.setting in SHOWN]
        ours = OURS_SHOWN if any(row.codec == OURS_SHOWN for row in rows) else STILLS
        parts += [f"{SETS[name]}:", at_equal_bytes(shown, ours, PEERS).markdown(), _sentence(rows, ours),
                  *([] if ours == STILLS else _stills(shown)), facts(rows)]
    return "\n\n".join(part if part[0] in "|!" else fill(part, WIDTH, break_on_hyphens=False)
                       for part in [*parts, OUTRO])


def read_sets(root: Path) -> dict[str, list[Row]]:
    """Rows of every set; raises ClipError when one is missing."""
    return {name: read_rows(root / RESULTS / name / ROWS) for name in SETS}


def read_wide(root: Path) -> dict[str, list[Row]]:
    """Rows over the whole range of the sets that have some; raises ClipError when one is missing."""
    return {name: read_rows(root / RESULTS / folder / ROWS) for name, (folder, _) in WHOLE_RANGE.items()}


def _exact(wide: Mapping[str, Sequence[Row]]) -> list[str]:
    """How much larger files without loss are than the smallest peer's."""
    shares = [float(line[-1].removesuffix(" %")) for rows in wide.values()
              for line in lossless_margins(rows, OURS_SHOWN).rows if line[-1] != MISSING]
    return [f"Without loss (`--lossless`) files differ from the smallest lossless peer's by {min(shares):+.1f} to "
            f"{max(shares):+.1f} % of the bytes, over {len(shares)} clips."] if shares else []


def _sentence(rows: Sequence[Row], ours: str) -> str:
    """BD-rates against AV1 and, where beats are labelled, the readout at the ratios asked for."""
    rates = {line[0]: line[1:] for line in bd_table(rows, ANCHOR).rows}
    psnr, ssim = rates[name_of(ours)]
    text = f"Bytes against AV1 at equal PSNR {psnr}, at equal SSIM3D {ssim} (BD-rate)."
    asked = [row for row in rows if row.setting == READOUT_SHOWN]
    return text + "".join(f" Cardiac readout at {line[0]}: ED {line[1]} (missed / false {line[2]}), ES {line[3]} "
                          f"({line[4]}); the small network that finds the ventricle was trained on other hearts of the "
                          "same simulator." for line in phase_table(asked, ours).rows)


def _stills(shown: Sequence[Row]) -> list[str]:
    """What the pack without weights reaches at the same ratios, where it was measured."""
    lines = at_equal_bytes(shown, STILLS, ()).rows
    figures = ", ".join(f"{quality} in {size} bytes" for _, size, quality in lines)
    return [f"With `--pack spatial`: {figures}."] if lines else []


def picture(root: Path) -> bytes:
    """PNG of the mean curves of every set."""
    wide = read_wide(root)
    sets = [[*rows, *wide.get(name, ())] for name, rows in read_sets(root).items()]
    return plots.png(plots.rate_distortion_of_sets(dict(zip(TITLES, sets, strict=True))))


def with_block(readme: str, text: str) -> str:
    """README with the part between its markers replaced; raises ValueError without markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main(arguments: Sequence[str]) -> None:
    """Write README and plot."""
    root = Path(arguments[0]) if arguments else Path()
    readme = root / "README.md"
    write_atomic(readme, with_block(readme.read_text(encoding="utf-8"), block(root)).encode(), force=True)
    write_atomic(root / PICTURE, picture(root), force=True)


if __name__ == "__main__":
    main(sys.argv[1:])
