"""Rooms and their doors: who may import whom, ids that never change, and that the installed package is tested."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

import lrmcodec
from lrmcodec.decoders import registry
from lrmcodec.decoders.ids import RETIRED, Architecture
from lrmcodec.formats.container import MAGIC, VERSION, Component

PACKAGE = Path(lrmcodec.__file__).parent
ROOT = Path(__file__).parents[1]
ROOMS = {"codec": ROOT / "lrmcodec", **{name: ROOT / name for name in ("formats", "cli", "benchmarks")}}
MAY_IMPORT = {
    "formats": {"formats"},
    "codec": {"formats", "codec"},
    "benchmarks": {"formats", "codec", "benchmarks"},
    "cli": {"formats", "codec", "benchmarks", "cli"},
}


def modules(room: str) -> list[Path]:
    return sorted(ROOMS[room].rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, at any depth of its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "lrmcodec" or len(parts) == 1:
        return None
    return parts[1] if parts[1] in ("formats", "cli", "benchmarks") else "codec"


@pytest.mark.parametrize("room", list(MAY_IMPORT))
def test_imports_go_one_way(room: str) -> None:
    assert modules(room)
    for path in modules(room):
        rooms = {room_of(name) for name in imported(path)} - {None}
        # `from lrmcodec import metrics` names a module of the codec, `from lrmcodec import __version__` a value.
        assert rooms <= MAY_IMPORT[room], f"{path.relative_to(ROOT)} imports from {rooms - MAY_IMPORT[room]}"


CODEC_ROOMS = ["samples", "provenance", "metrics", "quantize", "timeline", "levels", "sector", "sector_sheet",
               "simulate", "decoders", "sample", "beside", "rate", "video", "restored", "tools", "reader", "budget",
               "cardiac", "segment", "codec", "train", "archive"]
"""From the ground up: a room may import its own modules and rooms before it."""


def test_imports_of_the_codec_go_one_way() -> None:
    rooms = {path.stem for path in ROOMS["codec"].iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__", "packs"} == set(CODEC_ROOMS)
    for path in modules("codec"):
        parts = path.relative_to(ROOMS["codec"]).with_suffix("").parts
        for name in imported(path) if parts[0] in CODEC_ROOMS else ():
            there = name.split(".")[1] if name.startswith("lrmcodec.") else ""
            if there in CODEC_ROOMS:
                assert CODEC_ROOMS.index(there) <= CODEC_ROOMS.index(parts[0]), f"{'/'.join(parts)} imports {name}"


def test_imports_of_the_benchmarks_go_one_way() -> None:
    """setting, table <- peers <- measure <- show <- downstream, studies; a room may import those before it."""
    order = ["", "peers", "measure", "show", "downstream", "studies"]
    for path in modules("benchmarks"):
        room = path.relative_to(ROOMS["benchmarks"]).parent.as_posix().removeprefix(".")
        if path == ROOMS["benchmarks"] / "__init__.py":
            continue  # its lazy names
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["lrmcodec", "benchmarks"] and len(parts) > 2:
                there = parts[2] if parts[2] in order else ""
                assert order.index(there) <= order.index(room), f"benchmarks/{path.name} imports {name}"


def test_the_map_names_every_module() -> None:
    """But those of the command line, which are called as the sub-commands are."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = [path for room in ROOMS for path in modules(room) if path.parent != ROOMS["cli"]]
    paths += [path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_")]
    assert [path for path in paths if path.name != "__init__.py" and path.name not in text] == []


def test_formats_knows_no_network() -> None:
    for path in modules("formats"):
        assert not {name.split(".")[0] for name in imported(path)} & {"torch", "skimage"}, path


def test_only_networks_training_and_simulation_import_torch() -> None:
    package = ROOT / "lrmcodec"
    without = {package / name for name in ("decoders/base.py", "decoders/ids.py", "decoders/latent_code.py",
                                           "decoders/registry.py", "decoders/spatial.py", "decoders/steps.py",
                                           "simulate/heart/phantom.py", "simulate/heart/heartbeat.py",
                                           "simulate/heart/anatomy.py")}
    for path in modules("codec"):
        may = {"decoders", "train", "simulate", "provenance.py", "dataset.py"} & set(path.relative_to(package).parts)
        if path in without or not may:
            assert "torch" not in {name.split(".")[0] for name in imported(path)}, path


def test_ids_are_frozen() -> None:
    assert {item.label: int(item) for item in Architecture} == {
        "spatial": 2, "grid-siren": 3, "autoencoder": 4, "wavelet": 5, "gated-siren": 6, "refined-wavelet": 7}
    assert RETIRED == {1: "siren"}
    assert not set(RETIRED) & set(map(int, Architecture))
    assert {part.name: int(part) for part in Component} == {
        "PICTURES": 1, "COEFFS": 2, "LATENT": 3, "TIMES": 4, "WAVELETS": 5, "VIDEO": 6, "DARK": 7, "PHASE": 32,
        "METADATA": 33, "WARNINGS": 34, "DIGEST": 35, "VENTRICLE": 36, "HEART": 37, "STUDY": 40}
    assert (MAGIC, VERSION) == (b"LRM", 2)


def test_the_spatial_pack_keeps_its_id() -> None:
    """Every file of the default decoder names this id."""
    assert registry.find_pack("spatial").pack_id.hex() == "db67ebd11c384868"


def test_what_is_tested_is_what_is_installed() -> None:
    """Unless installed for editing, modules come from site-packages and not from the checkout."""
    origin = distribution("lrmcodec").read_text("direct_url.json") or "{}"
    if json.loads(origin).get("dir_info", {}).get("editable"):
        pytest.skip("lrmcodec is installed for editing")
    assert Path(str(distribution("lrmcodec").locate_file("lrmcodec"))).resolve() == PACKAGE.resolve()
    assert ROOT not in PACKAGE.resolve().parents or ".venv" in PACKAGE.parts
    assert str(ROOT) not in sys.path


def test_what_ships() -> None:
    from lrmcodec import cli, formats, samples

    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "packs" / "spatial" / "card.json").is_file()
    assert samples.lung_clip_path().stat().st_size == 169_133
    notice = samples.lung_clip_path().with_name("ATTRIBUTION.txt").read_text(encoding="utf-8")
    assert samples.lung_clip_path().name in notice
    assert "creativecommons.org/licenses/by/2.0" in notice
    assert "10.1186/cc11201" in notice
    assert (Path(str(formats.__file__)).parent / "SPEC.md").is_file()
    assert cli.__name__ == "lrmcodec.cli"


@pytest.mark.parametrize("statement", ["import lrmcodec", "import lrmcodec.codec", "import lrmcodec.cli.main",
                                       "from lrmcodec import read_clip"])
def test_importing_does_not_import_torch(statement: str) -> None:
    heavy = "torch", "scipy", "skimage", "rich", "PIL"
    code = f"{statement}; import sys; sys.exit(', '.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
