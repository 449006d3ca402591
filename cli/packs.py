"""`lrmcodec packs`: the decoder packs that come with lrmcodec."""

from __future__ import annotations

import click

from lrmcodec.cli import options
from lrmcodec.cli.console import Console, pass_console, printable


@click.command()
@options.as_json
@pass_console
def packs(console: Console, as_json: bool) -> None:
    """List the shipped decoder packs.

    A file names the pack that decodes it by its id; weights are shared by all files and not counted in a ratio.
    """
    from lrmcodec.decoders.registry import DEFAULT_PACK, shipped_packs

    found = shipped_packs()
    if as_json:
        console.data({"packs": [
            {**pack.card, "id": pack.pack_id.hex(), "digest": pack.digest, "weight_bytes": pack.weight_bytes,
             "default": pack.name == DEFAULT_PACK} for pack in found]})
        return
    rows = [(pack.name, pack.pack_id.hex(), str(pack.card["architecture"].get("name", pack.arch_id)),
             f"{pack.weight_bytes:,}", str(pack.card.get("licence", "not stated"))) for pack in found]
    console.table(rows, ("Name", "Id", "Architecture", "Weight bytes", "License"))
    for pack in found:
        click.echo(f"\n{printable(pack.name)}")
        for key in ("summary", "training", "quality", "limits"):
            if isinstance(pack.card.get(key), str):  # details, as numbers and lists, are left to --json
                click.echo(f"  {key}: {printable(pack.card[key])}")
