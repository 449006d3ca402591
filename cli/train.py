"""`lrmcodec train`: a decoder pack from a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console

SOURCES = ("echonet", "lung", "videos")


def parse_data(values: tuple[str, ...]) -> dict[str, str]:
    """Folders by source, from KIND=FOLDER; a usage error for an unknown kind or a missing folder."""
    found: dict[str, str] = {}
    for value in values:
        kind, _, folder = value.partition("=")
        if kind not in SOURCES or not folder:
            raise click.BadParameter(f"{value!r} is not KIND=FOLDER with a KIND of {', '.join(SOURCES)}.")
        if not Path(folder).is_dir():
            raise click.BadParameter(f"there is no folder {folder}.")
        found[kind] = folder
    return found


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option("-o", "--output", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for checkpoint, log and finished pack.")
@click.option("--data", multiple=True, metavar="KIND=FOLDER",
              help="Clips to train on besides simulated ones: echonet=, lung= or videos=; may be repeated.")
@options.device
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in DIR.")
@click.option("--minutes", type=options.POSITIVE, metavar="M", help="Stop after M minutes; --resume goes on later.")
@click.option("--cache", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
              help="Folder that keeps the clips made, to share them between runs; default: inside the output.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="CPU threads.")
@options.as_json
@pass_console
def train(console: Console, recipe: str, output: Path, data: tuple[str, ...], device: str, resume: bool,
          minutes: float | None, cache: Path | None, threads: int, as_json: bool) -> None:
    """Train a decoder pack.

    RECIPE is a TOML file or the name of a shipped recipe, such as lrm-ortho-cpu. An interrupted run leaves a
    checkpoint, from which --resume goes on as if it had never stopped. The pack lies in DIR/pack at the end.
    """
    folders = parse_data(data)
    import torch

    from lrmcodec.train.recipe import load_recipe, with_folders
    from lrmcodec.train.run import run, trained_pack

    torch.set_num_threads(threads)
    wanted = with_folders(load_recipe(recipe), folders)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with console.progress() as progress:
        outcome = run(wanted, output, device=device, resume=resume, minutes=minutes, cache=cache, progress=progress)
    if as_json:
        console.data({"recipe": wanted.name, "steps": outcome.step_count, "finished": outcome.finished,
                      "train_psnr_db": None if outcome.psnr_db != outcome.psnr_db else outcome.psnr_db,
                      "pack": str(outcome.pack) if outcome.pack else None,
                      "digest": trained_pack(output).digest if outcome.pack else None})
    elif console.level >= 0 and outcome.pack:
        console.facts([("Pack", str(outcome.pack)), ("Steps", f"{outcome.step_count:,}"),
                       ("Digest", trained_pack(output).digest[:16])])
    elif not outcome.finished:
        console.note(f"stopped after {outcome.step_count:,} of {wanted.training.steps:,} steps; go on with --resume.")
