"""Contact sheets of what `--mask sector` does to each clip, for a person to look at before anything is archived."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lrmcodec.archive.headers import read_facts
from lrmcodec.archive.sources import Source, at_hand
from lrmcodec.archive.task import choose_mask
from lrmcodec.archive.workers import Lost, Workers, closing
from lrmcodec.formats.atomic import write_atomic
from lrmcodec.formats.errors import ClipError, LrmError
from lrmcodec.formats.video import read_clip


@dataclass
class Reviewed:
    """Sheets written, files that are no gray clips, and clips without a sector as (path, reason)."""

    sheets: int = 0
    others: int = 0
    unmasked: list[tuple[str, str]] = field(default_factory=list)


def review(sources: Iterable[Source], folder: Path, workers: Workers,
           watch: Callable[[Reviewed], None] | None = None) -> Reviewed:
    """Write a sheet for every clip, named by the clip's path; nothing else is written."""
    done, watch = Reviewed(), watch or (lambda reviewed: None)
    folder.mkdir(parents=True, exist_ok=True)
    with closing(workers.map(draw_sheet, str(folder), sources)) as results:
        for source, result in results:
            if isinstance(result, Lost) or result not in ("", "other"):
                done.unmasked.append((source.path, result.reason if isinstance(result, Lost) else result))
            else:
                done.sheets += result == ""
                done.others += result == "other"
            watch(done)
    return done


def draw_sheet(folder: str, source: Source) -> str:
    """Sheet of one clip: '' when it is written, 'other' for what is no gray clip, else why there is none."""
    from lrmcodec.sector import find_marks
    from lrmcodec.sector_sheet import draw, png

    if source.problem:
        return source.problem
    try:
        with at_hand(source) as file:
            if read_facts(file, source.path).why:
                return "other"
            try:
                clip = read_clip(file)
            except ClipError:
                return "other"  # kept byte for byte: archiving says why
            sector = choose_mask(clip, file)
            sheet = png(draw(clip.frames, sector, find_marks(clip.frames, sector)))
        write_atomic(Path(folder) / sheet_name(source.path), sheet, force=True)
        return ""
    except LrmError as error:
        return error.what
    except OSError as error:
        return error.strerror or type(error).__name__


def sheet_name(path: str) -> str:
    """Name of a clip's sheet: its own, and digits that tell equal names in other folders apart."""
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{PurePosixPath(path).name[:100]}.{digest}.png"
