"""Tables of rows: what is shown in Markdown for a README and in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.benchmarks.setting import LOSSLESS, Setting
from lrmcodec.benchmarks.show.curves import Metric, at_bytes, bd_rates, by_clip, codecs, front
from lrmcodec.benchmarks.show.names import name_of
from lrmcodec.benchmarks.show.worst import lossless_margins, margin_table, worst_table
from lrmcodec.benchmarks.table import MISSING, Table
from lrmcodec.formats.atomic import write_atomic

SUMMARY = "summary.md"
ANCHOR = "av1"
STILLS = ("jpeg", "jpeg2000")


def best_rank_settings(rows: Sequence[Row], codec: str) -> list[Setting]:
    """Ratios asked of our codec at its best rank, from low to high."""
    found = {row.setting for row in rows if row.codec == codec and row.setting.is_ratio_at_best_rank}
    return sorted(found, key=lambda setting: setting.target_value or 0)


def at_equal_bytes(rows: Sequence[Row], codec: str, peers: Sequence[str]) -> Table:
    """Means over clips at every ratio asked for: our files, and the peers' fronts at the bytes of each file.

    Where a ratio was asked of some clips only, their number stands beside it.
    """
    lines, clips = [], len({(row.clip, row.clip_id) for row in rows})
    for setting in best_rank_settings(rows, codec):
        mine = [row for row in rows if row.codec == codec and row.setting == setting and row.size_bytes is not None]
        if mine:
            cells = [_quality([(row.psnr_db, row.ssim3d) for row in mine])]
            cells += [_quality([_peer_at(rows, peer, row) for row in mine]) for peer in peers]
            share = "" if len(mine) == clips else f" ({len(mine)} of {clips} clips)"
            ratio, size = (_number(_mean(getattr(row, name) for row in mine)) for name in ("ratio", "size_bytes"))
            lines.append((ratio + share, size, *cells))
    head = ("ratio", "bytes", name_of(codec), *map(name_of, peers))
    return Table("PSNR in dB / SSIM3D at equal bytes", head, lines)


def _peer_at(rows: Sequence[Row], peer: str, row: Row) -> tuple[float | None, float | None]:
    there = by_clip(rows, peer).get((row.clip, row.clip_id), [])
    assert row.size_bytes is not None
    return at_bytes(front(there, "psnr_db"), row.size_bytes), at_bytes(front(there, "ssim3d"), row.size_bytes)


def _quality(values: Sequence[tuple[float | None, float | None]]) -> str:
    psnr = [a for a, _ in values if a is not None]
    ssim = [b for _, b in values if b is not None]
    if len(psnr) < len(values) or len(ssim) < len(values):
        return MISSING
    return f"{np.mean(psnr):.2f} / {np.mean(ssim):.3f}"


def bd_table(rows: Sequence[Row], anchor: str) -> Table:
    """BD-rate of every codec against an anchor, mean over clips, by PSNR and by SSIM3D."""
    lines = []
    for codec in codecs(rows):
        if codec != anchor:
            cells = [_bd_cell(rows, codec, anchor, metric) for metric in ("psnr_db", "ssim3d")]
            if any(cell != MISSING for cell in cells):
                lines.append((name_of(codec), *cells))
    return Table(f"BD-rate against {name_of(anchor)}", ("codec", "by PSNR", "by SSIM3D"), lines)


def _bd_cell(rows: Sequence[Row], codec: str, anchor: str, metric: Metric) -> str:
    values = bd_rates(rows, codec, anchor, metric)
    clips = len(by_clip(rows, codec))
    if not values:
        return MISSING
    missing = f" ({len(values)} of {clips} clips)" if len(values) < clips else ""
    return f"{np.mean(values):+.0f} %{missing}"


def rank_table(rows: Sequence[Row], codec: str) -> Table:
    """What each rank gives: the paper's count, and honest size and quality at every quality setting."""
    head = ("rank", "quality", "scalars alone", "bytes", "ratio", "PSNR dB", "SSIM3D")
    return Table(f"Rank and size: {name_of(codec)}", head, [_rank_cells(group) for group in rank_groups(rows, codec)])


def phase_table(rows: Sequence[Row], codec: str) -> Table:
    """Cardiac readout of every setting with labels: best ranks at the ratios asked for, then the rank grid."""
    labelled = [row for row in rows if row.codec == codec and row.ed_events is not None]
    best = [[row for row in labelled if row.setting == setting] for setting in best_rank_settings(labelled, codec)]
    lines = [(group[0].setting.words, *phase_cells(group)) for group in best + rank_groups(labelled, codec)]
    head = ("setting", "ED error", "ED missed / false", "ES error", "ES missed / false", "rate error")
    return Table(f"Cardiac readout: {name_of(codec)}", head, lines)


def rank_groups(rows: Sequence[Row], codec: str) -> list[list[Row]]:
    """Rows of the rank grid, one list a setting over all clips, by rank and from fine to coarse."""
    ranked = sorted((row for row in rows if row.codec == codec and row.setting.is_quality_at_rank),
                    key=lambda row: (row.setting.asked_rank, -(row.setting.target_value or 0)))
    return [[row for row in ranked if row.setting == setting]
            for setting in dict.fromkeys(row.setting for row in ranked)]


def _rank_cells(group: Sequence[Row]) -> tuple[str, ...]:
    rank, quality = str(group[0].setting.asked_rank), f"{group[0].setting.target_value:g}"
    measured = [row for row in group if row.size_bytes is not None]
    if not measured:
        return (rank, quality, *(MISSING,) * 4, group[0].note)
    share = "" if len(measured) == len(group) else f" ({len(measured)} of {len(group)} clips)"
    return (rank, quality + share, _times(_mean(row.scalars_ratio for row in measured)),
            _number(_mean(row.size_bytes for row in measured)), _times(_mean(row.ratio for row in measured)),
            f"{_mean(row.psnr_db for row in measured):.2f}", f"{_mean(row.ssim3d for row in measured):.3f}")


def phase_cells(group: Sequence[Row]) -> tuple[str, ...]:
    """ED and ES errors in frames and milliseconds, misses and false alarms in percent, error of the heart rate."""
    cells: list[str] = []
    for event in ("ed", "es"):
        cells += [_error(group, event), f"{_share(group, event, 'misses')} / {_share(group, event, 'false_alarms')}"]
    rates = [row.heart_rate_error_bpm for row in group if row.heart_rate_error_bpm is not None]
    return (*cells, f"{np.mean(rates):.1f} bpm" if rates else MISSING)


def _error(group: Sequence[Row], event: str) -> str:
    frames, ms = matched_error(group, event, "frames"), matched_error(group, event, "ms")
    return MISSING if frames is None or ms is None else f"{frames:.2f} frames, {ms:.0f} ms"


def matched_error(group: Sequence[Row], event: str, unit: str) -> float | None:
    """Mean absolute error over all matched events of several clips, 'ed' or 'es', in 'frames' or 'ms'."""
    pairs = [(getattr(row, f"{event}_error_{unit}"), getattr(row, f"{event}_events") - getattr(row, f"{event}_misses"))
             for row in group if getattr(row, f"{event}_error_{unit}") is not None]
    return _weighted_mean(pairs)


def matched_bias(group: Sequence[Row], event: str) -> float | None:
    """Mean of found minus labelled over all matched events of several clips, in milliseconds."""
    pairs = [(1000 * bias / row.fps, getattr(row, f"{event}_events") - getattr(row, f"{event}_misses"))
             for row in group if (bias := getattr(row, f"{event}_bias_frames")) is not None]
    return _weighted_mean(pairs)


def _weighted_mean(pairs: Sequence[tuple[float, int]]) -> float | None:
    count = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / count if count else None


def event_share(group: Sequence[Row], event: str, what: str) -> float | None:
    """Misses or false alarms of several clips as a share of the labelled events."""
    known = [row for row in group if getattr(row, f"{event}_{what}") is not None]
    events = sum(getattr(row, f"{event}_events") for row in known)
    return sum(getattr(row, f"{event}_{what}") for row in known) / events if events else None


def _share(group: Sequence[Row], event: str, what: str) -> str:
    share = event_share(group, event, what)
    return MISSING if share is None else f"{100 * share:.0f} %"


def lossless_table(rows: Sequence[Row]) -> Table:
    """Lossless peers: bytes and ratio, means over clips."""
    lines: list[tuple[str, ...]] = []
    for codec in codecs(rows):
        group = [row for row in rows if row.codec == codec and row.setting == LOSSLESS and row.size_bytes]
        if group:
            lines.append((name_of(codec), _number(_mean(row.size_bytes for row in group)),
                          _times(_mean(row.ratio for row in group))))
    return Table("Without loss", ("codec", "bytes", "ratio"), lines)


def speed_table(rows: Sequence[Row]) -> Table:
    """Medians of encoding time, decoding rate and memory over all rows of every codec."""
    lines = []
    for codec in codecs(rows):
        group = [row for row in rows if row.codec == codec and row.encode_seconds is not None]
        if group:
            cells = [_median(group, read) for read in (_encode_rate, _decode_rate, _encode_memory)]
            lines.append((name_of(codec), *cells))
    return Table("Time and memory, medians", ("codec", "encoded frames/s", "decoded frames/s", "peak MiB"), lines)


def _encode_rate(row: Row) -> float | None:
    return row.frames / row.encode_seconds if row.encode_seconds else None


def _decode_rate(row: Row) -> float | None:
    return row.decode_fps


def _encode_memory(row: Row) -> float | None:
    return row.encode_peak_mib


def _median(group: Sequence[Row], read: Callable[[Row], float | None]) -> str:
    values = [value for row in group if (value := read(row)) is not None]
    return f"{np.median(values):,.0f}" if values else MISSING


def _mean(values: object) -> float:
    return float(np.mean([value for value in values if value is not None]))  # type: ignore[attr-defined]


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _times(value: float) -> str:
    return f"{value:,.0f} x" if value >= 10 else f"{value:.2f} x"


def facts(rows: Sequence[Row]) -> str:
    """Clips, versions and hardware, one line."""
    clips = {(row.clip, row.clip_id) for row in rows}
    tools = "; ".join(dict.fromkeys(row.versions for row in rows))
    machines = "; ".join(dict.fromkeys(row.hardware for row in rows))
    return f"Means over {len(clips)} clip{'s' * (len(clips) != 1)}. {tools}; {machines}."


def write_summary(folder: Path, rows: Sequence[Row]) -> None:
    """Write all tables of a run as Markdown, replacing older ones."""
    pieces = [f"## {table.title}\n\n{table.markdown()}\n" for table in tables(rows)]
    write_atomic(folder / SUMMARY, "\n".join([*pieces, facts(rows), ""]).encode(), force=True)


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    """All tables that have something to say."""
    ours = ours_of(rows)
    found = [*(at_equal_bytes(rows, name, peers_of(rows)) for name in ours),
             *(make(rows, name) for name in ours for make in (worst_table, margin_table)),
             bd_table(rows, anchor_of(rows)),
             *(make(rows, name) for name in ours for make in (rank_table, phase_table)),
             lossless_table(rows), *(lossless_margins(rows, name) for name in ours), speed_table(rows)]
    yield from (table for table in found if table.rows)


def ours_of(rows: Sequence[Row]) -> list[str]:
    """Our codecs, one a pack."""
    mine = {row.codec for row in rows if row.is_ours}
    return [name for name in codecs(rows) if name in mine]


def peers_of(rows: Sequence[Row]) -> list[str]:
    """Peers that reach high ratios, the floor first: stills, a file a frame, do not."""
    lossy = {row.codec for row in rows if row.psnr_db is not None and row.setting != LOSSLESS}
    names = [name for name in codecs(rows) if name in lossy and name not in ours_of(rows) and name not in STILLS]
    return sorted(names, key=lambda name: name != "lowrank-av1")


def anchor_of(rows: Sequence[Row]) -> str:
    """AV1, or the first peer where it was not measured."""
    return ANCHOR if ANCHOR in codecs(rows) else next(iter(peers_of(rows)), ANCHOR)
