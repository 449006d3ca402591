"""Whole files decode alike with one thread and with two, and by a decoder made anew of a pack that was saved again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from digest_table import GOLDEN, place, read_table

MADE, ROWS = read_table()
EXACT = ["v2_wavelet", "v2_wavelet_parts", "v2_refined", "v2_refined_parts"]
NEAR = ["v2_gated_siren"]  # torch adds up in another order with another number of threads
FILES = EXACT + NEAR

DECODE = """
import json, shutil, sys
from pathlib import Path
import torch
from safetensors.numpy import save_file
from digest_table import digest, read_row
from lrmcodec import codec
from lrmcodec.decoders.registry import make_decoder
from lrmcodec.formats.pack import load_pack
from lrmcodec.reader import LrmFile

folder, threads, files = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
torch.set_num_threads(threads)

def facts(file):
    segments = [file.segment(index) for index in range(len(file.coded.segments))]
    pictures = [array for each in segments for array in (each.latent, each.basis)
                if array is not None]
    frames = file.frames()
    return {"pictures": digest(pictures), "frames": digest([frames]), "pixels": frames.ravel().tolist()}

def saved_again(pack):
    place = folder / f"{pack.name}-{threads}"
    place.mkdir()
    save_file(dict(sorted(pack.tensors().items(), reverse=True)), place / "weights.safetensors")
    (place / "card.json").write_text(json.dumps(dict(pack.card)))
    return load_pack(place)

found = {}
for path in map(Path, files):
    file = codec.open(path, device="cpu")
    again = LrmFile(path.read_bytes(), decoder=make_decoder(saved_again(file.pack), "cpu"))
    shutil.rmtree(folder / f"{file.pack.name}-{threads}")
    found[path.stem] = {"row": read_row(path), "first": facts(file), "again": facts(again)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What processes with one and with two threads make of the files."""
    folder = tmp_path_factory.mktemp("packs")
    (folder / "decode.py").write_text(DECODE)
    running = {threads: _started(folder, threads) for threads in (1, 2)}
    found = {threads: process.communicate()[0] for threads, process in running.items()}
    assert all(process.returncode == 0 for process in running.values())
    return {threads: json.loads(text) for threads, text in found.items()}


def _started(folder: Path, threads: int) -> subprocess.Popen[str]:
    count = {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    env = {**os.environ, **count, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONSAFEPATH": "1"}
    files = [str(GOLDEN / f"{name}.lrm") for name in FILES]
    return subprocess.Popen([sys.executable, str(folder / "decode.py"), str(folder), str(threads), *files], env=env,
                            stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", EXACT)
def test_symbols_and_pixels_are_the_same(name: str, decoded: dict[int, dict[str, Any]]) -> None:
    one, two = (decoded[threads][name] for threads in (1, 2))
    assert one["first"] == one["again"] == two["first"] == two["again"]
    assert one["row"] == two["row"]


@pytest.mark.parametrize("name", NEAR)
def test_with_torch_integers_are_the_same_and_pixels_within_a_level(name: str,
                                                                    decoded: dict[int, dict[str, Any]]) -> None:
    one, two = (decoded[threads][name] for threads in (1, 2))
    assert one["first"] == one["again"]
    assert two["first"] == two["again"]
    assert one["row"] == two["row"]  # of one thread
    pairs = zip(one["first"]["pixels"], two["first"]["pixels"], strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 1


@pytest.mark.parametrize("name", FILES)
def test_they_are_those_of_the_table(name: str, decoded: dict[int, dict[str, Any]]) -> None:
    row = ROWS[f"{name}.lrm"]
    assert decoded[1][name]["row"]["integers"] == row["integers"]
    if place()["machine"] == MADE["machine"]:
        assert decoded[1][name]["row"] == row
        assert decoded[1][name]["first"]["frames"] == row["pixels"]
