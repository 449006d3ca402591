"""`lrmcodec simulate`: make ultrasound clips whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console

if TYPE_CHECKING:
    from lrmcodec.simulate.plan import Simulated

VIEW_PRESETS = {"a4c": "echonet_like", "a2c": "echonet_like", "psax": "echonet_like", "plax": "pocus_plax",
                "lung_convex": "lus_like", "lung_linear": "lus_like"}
"""Preset of each view when none is named."""

FORMATS = ("npz", "avi", "mp4")


@click.command()
@click.option("-o", "--output", metavar="DIR", required=True, help="Folder for the clips; it is made if missing.")
@click.option("--view", type=click.Choice(list(VIEW_PRESETS)), help="What is seen.  [default: the preset's own]")
@click.option("--preset", metavar="NAME", help="Kind of clip: echonet_like, lus_like or pocus_plax.  "
              "[default: by the view, else echonet_like]")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="How many clips.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of the first; then one more each.")
@click.option("--frames", type=int, metavar="N", help="Frames of each clip.  [default: drawn by the preset]")
@options.size("Height and width in pixels.  [default: the preset's own]")
@click.option("--fps", type=float, metavar="F", help="Frames a second.  [default: the preset's own]")
@click.option("--format", "suffix", type=click.Choice(FORMATS), default="npz", show_default=True,
              help="npz keeps every level; avi and mp4 are for players.")
@click.option("--masks", is_flag=True, help="Also write label masks as .masks.npz, with their names in the .json.")
@options.device
@options.force
@options.as_json
@pass_console
def simulate(console: Console, output: str, view: str | None, preset: str | None, count: int, seed: int,
             frames: int | None, size: tuple[int, int] | None, fps: float | None, suffix: str, masks: bool,
             device: str, force: bool, as_json: bool) -> None:
    """Simulate echo and lung clips with exact ground truth.

    Writes DIR/NAME-SEED.npz and DIR/NAME-SEED.json with end-diastolic and end-systolic frames, areas, volumes,
    ejection fraction, heart rate, or the number of B-lines. The same seed gives the same clip.
    """
    from lrmcodec.simulate.simulator import simulate as make

    preset = preset or VIEW_PRESETS.get(view or "", "echonet_like")
    folder, where = _make_folder(output), _device(device)
    names = _names(folder, preset, view, seed, count, suffix, masks, force)
    written = []
    with console.progress() as progress:
        for index, name in enumerate(names):
            def report(part: float, index: int = index, name: str = name) -> None:
                progress((index + part) / count, f"simulating {name}")

            try:
                made = make(preset, seed + index, view=view, frame_count=frames, size=size, fps=fps, device=where,
                            masks=masks, progress=report)
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            written.append(_write(folder / name, made, suffix, force))
    if as_json:
        console.data({"clips": written})
    else:
        console.table([_row(facts) for facts in written], ("Clip", "View", "Frames", "Truth"))


def _make_folder(output: str) -> Path:
    from lrmcodec.formats.errors import OutputError

    folder = Path(output)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        what = f"the folder {folder} cannot be made ({error.strerror})."
        raise OutputError(what, "Choose another -o DIR.") from error
    return folder


def _device(device: str) -> str:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("there is no CUDA device; use --device cpu.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def _names(folder: Path, preset: str, view: str | None, seed: int, count: int, suffix: str, masks: bool,
           force: bool) -> list[str]:
    """Names of the clips without suffix; refuse now what could not be written later."""
    from lrmcodec.formats.atomic import check_writable

    names = [f"{preset}{'-' + view if view else ''}-{seed + index:06d}" for index in range(count)]
    for name in names:
        for end in (suffix, "json", *["masks.npz"] * masks):
            check_writable(folder / f"{name}.{end}", force)
    return names


def _write(stem: Path, made: Simulated, suffix: str, force: bool) -> dict[str, Any]:
    """Write clip, masks and truth, the truth last; return the truth and the names."""
    from lrmcodec.formats.atomic import write_atomic
    from lrmcodec.formats.video import write_clip

    clip, truth = stem.with_name(f"{stem.name}.{suffix}"), stem.with_name(f"{stem.name}.json")
    write_clip(made.clip, clip, force=force)
    facts = {"clip": clip.name, "frames": len(made.clip.frames), **json.loads(made.truth.as_json())}
    if made.masks is not None:
        facts |= _write_masks(stem.with_name(f"{stem.name}.masks.npz"), made, force)
    write_atomic(truth, (json.dumps(facts, indent=1) + "\n").encode(), force=force)
    return facts


def _write_masks(path: Path, made: Simulated, force: bool) -> dict[str, Any]:
    from lrmcodec.formats.atomic import write_atomic
    from lrmcodec.formats.npz import npz_bytes

    assert made.masks is not None
    write_atomic(path, npz_bytes(masks=made.masks), force=force)
    return {"masks": path.name, "labels": dict(made.labels)}


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    if facts["b_line_count"] is not None:
        truth = f"{facts['b_line_count']} B-lines"
    else:
        ejection = "" if facts["ef_percent"] is None else f"EF {facts['ef_percent']:.0f} %, "
        truth = f"{ejection}{facts['heart_rate_bpm']:.0f} beats a minute, {facts['rhythm']}"
    return facts["clip"], facts["view"], str(facts["frames"]), ", ".join([truth, *facts["findings"]])
