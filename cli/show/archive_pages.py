"""Static pages about an archive: an index that is searched without a network, and a page a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lrmcodec.archive.overview import Judged, Study, strip_name
from lrmcodec.cli.archive_shared import amount_bytes
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.errors import OutputError

INDEX, STUDIES, STRIPS = "index.html", "studies", "strips"
MARK = '<meta name="generator" content="lrmcodec archive report">'
FIRST = 24
"""Unusual clips on the first page."""


def prepare_folder(folder: Path) -> None:
    """Make the folders of a report; one of an earlier report is used again.

    Raises
    ------
    OutputError
        When the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not _is_report(folder):
        raise OutputError(f"{folder} is not empty and no earlier report.", "Choose a new folder.")
    for name in (STUDIES, STRIPS):
        (folder / name).mkdir(parents=True, exist_ok=True)


def _is_report(folder: Path) -> bool:
    """Whether there is an earlier report, or the beginning of one that was cut off before its index."""
    index = folder / INDEX
    if index.is_file():
        return MARK in index.read_text(encoding="utf-8", errors="replace")[:2000]
    return {entry.name for entry in folder.iterdir()} <= {STUDIES, STRIPS}


def write_pages(folder: Path, place: str, studies: Sequence[Study], statistics: Mapping[str, Any]) -> None:
    """Write the index and all study pages; strips are there already, or missing where clips cannot be decoded."""
    environment = Environment(loader=PackageLoader("lrmcodec.cli.show", ""), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(bytes=amount_bytes, strip=lambda judged: _strip(folder, judged))
    page = environment.get_template("archive_study.html")
    for study in studies:
        write_atomic(folder / STUDIES / f"{study.name}.html", page.render(study=study).encode(), force=True)
    unusual = sorted((judged for study in studies for judged in study.clips if judged.reasons),
                     key=lambda judged: -judged.score)
    index = environment.get_template("archive_index.html").render(
        place=place, studies=[_row(study) for study in studies], statistics=statistics, unusual=unusual[:FIRST],
        more=len(unusual) - FIRST, pages={judged.entry.id: study.name for study in studies for judged in study.clips},
        failed=[entry for study in studies for entry in study.kept if entry.failed])
    write_atomic(folder / INDEX, index.encode(), force=True)


def _strip(folder: Path, judged: Judged) -> str:
    """Name of a clip's strip below the report's folder, '' where there is none."""
    name = strip_name(judged.entry)
    return f"{STRIPS}/{name}" if (folder / STRIPS / name).exists() else ""


def _row(study: Study) -> dict[str, Any]:
    """What the index says of a study, and the text that is searched."""
    entries = study.entries
    rates = [rate for judged in study.clips if judged.entry.coding is not None
             and (rate := judged.entry.coding.readout.get("heart_rate_bpm")) is not None]
    ssim = [judged.entry.coding.ssim3d for judged in study.clips if judged.entry.coding is not None]
    words = {entry.modality for entry in entries} | {entry.date for entry in entries}
    words |= {entry.view for entry in entries} | {entry.path for entry in entries} | {entry.id for entry in entries}
    return {
        "study": study, "date": next((entry.date for entry in entries if entry.date), ""),
        "modalities": ", ".join(name for name, _ in Counter(e.modality for e in entries if e.modality).most_common()),
        "source_bytes": sum(entry.size_bytes for entry in entries),
        "stored_bytes": sum(entry.stored_bytes for entry in entries),
        "rate": sorted(rates)[len(rates) // 2] if rates else None,
        "ssim": min(ssim, default=None), "unusual": sum(bool(judged.reasons) for judged in study.clips),
        "failed": sum(entry.failed for entry in study.kept),
        "search": " ".join(sorted({study.uid, *words})).casefold(),
    }
