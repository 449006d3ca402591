"""Decoder packs: what their digest covers, and clear errors for broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.registry import find_pack, make_decoder, pack_of_file, shipped_packs
from lrmcodec.formats.container import PACK_ID_BYTES
from lrmcodec.formats.errors import DeviceError, PackError
from lrmcodec.formats.pack import Pack, load_pack

CARD = {"name": "own", "architecture": {"id": 2, "name": "spatial", "network": "identity", "width": 3}}
TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(4, np.float16)}


def write_pack(folder: Path, card: Any = CARD, tensors: dict[str, NDArray[Any]] | None = TENSORS) -> Pack:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(card if isinstance(card, str) else json.dumps(card))
    if tensors:
        save_file(tensors, folder / "weights.safetensors")
    return load_pack(folder)


def test_a_pack_keeps_its_tensors(tmp_path: Path) -> None:
    pack = write_pack(tmp_path)
    np.testing.assert_array_equal(pack.tensors()["b"], TENSORS["b"])
    assert (pack.name, pack.arch_id, pack.weight_bytes > 32) == ("own", 2, True)
    assert pack.pack_id == bytes.fromhex(pack.digest)[:PACK_ID_BYTES]


def test_a_pack_may_have_no_weights(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, tensors=None)
    assert (pack.tensors(), pack.weight_bytes) == ({}, 0)


def test_the_digest_ignores_descriptions_and_order(tmp_path: Path) -> None:
    reordered = {"architecture": dict(reversed(CARD["architecture"].items())), "name": "other", "summary": "new text"}
    other = write_pack(tmp_path / "b", reordered, dict(reversed(TENSORS.items())))
    assert other.digest == write_pack(tmp_path / "a").digest


@pytest.mark.parametrize("change", [
    {"a": np.ones(4, np.float32)}, {"a": np.ones((2, 2), np.float16)}, {"a": np.zeros(4, np.float16)},
    {"c": np.ones(1, np.float32)},
])
def test_the_digest_covers_every_tensor(tmp_path: Path, change: dict[str, NDArray[Any]]) -> None:
    other = write_pack(tmp_path / "b", tensors={**TENSORS, **change})
    assert other.digest != write_pack(tmp_path / "a").digest


def test_the_digest_covers_the_architecture(tmp_path: Path) -> None:
    changed = {**CARD, "architecture": {**CARD["architecture"], "width": 4}}
    assert write_pack(tmp_path / "b", changed).digest != write_pack(tmp_path / "a").digest


@pytest.mark.parametrize("card", [
    "", "not json", "[]", "{}", '{"name": "x"}', '{"name": "x", "architecture": {"id": "2"}}',
    '{"architecture": {"id": 2}}', '{"name": "x", "architecture": 2}',
])
def test_a_broken_card_is_refused(tmp_path: Path, card: str) -> None:
    with pytest.raises(PackError):
        write_pack(tmp_path, card)


@pytest.mark.parametrize("raw", [
    b"", b"abc", b"\xff" * 100,
    (57).to_bytes(8, "little") + b'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}  ab',
])
def test_broken_weights_are_refused(tmp_path: Path, raw: bytes) -> None:
    write_pack(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(raw)
    with pytest.raises(PackError, match="weights"):
        _ = load_pack(tmp_path).digest


@pytest.mark.parametrize("name", ["missing", "card.json"])
def test_what_is_no_pack_is_refused(tmp_path: Path, name: str) -> None:
    write_pack(tmp_path)
    with pytest.raises(PackError):
        load_pack(tmp_path / name)


def test_shipped_packs_are_found_by_name_and_by_digest() -> None:
    for pack in shipped_packs():
        assert find_pack(pack.name).digest == pack.digest
        assert pack_of_file(pack.pack_id).name == pack.name


def test_an_own_pack_is_found_by_its_folder_and_digest(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "own")
    assert find_pack(str(tmp_path / "own")).digest == pack.digest
    assert pack_of_file(pack.pack_id, str(tmp_path / "own")).name == "own"


def test_a_missing_pack_is_named_with_the_places_searched() -> None:
    with pytest.raises(PackError, match=r"0102030405060708.*packs"):
        pack_of_file(bytes(range(1, 9)))
    with pytest.raises(PackError, match=r"no decoder pack 'nothing'.*spatial"):
        find_pack("nothing")


def test_another_pack_than_the_files_is_refused(tmp_path: Path) -> None:
    write_pack(tmp_path / "own")
    with pytest.raises(PackError, match=r"not found in .*own"):
        pack_of_file(bytes(8), str(tmp_path / "own"))


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"name": "x", "architecture": {"id": 77}}, None)
    with pytest.raises(PackError, match="architecture 77"):
        make_decoder(pack)


def test_shipped_packs_are_of_architectures_that_are_known() -> None:
    found = {pack.name: Architecture(pack.arch_id) for pack in shipped_packs()}
    assert found["spatial"] == Architecture.SPATIAL
    assert set(found.values()) == set(Architecture)


def test_a_retired_architecture_is_refused(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"name": "x", "architecture": {"id": 1, "name": "siren"}}, None)
    with pytest.raises(PackError, match=r"architecture 1 \('siren'\), which was given up") as caught:
        make_decoder(pack)
    assert "Encode the clip again" in caught.value.hint


def test_packs_are_found_by_strings_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = write_pack(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    for name in ("own", "own/", "./own", Path("own"), tmp_path / "own"):
        assert find_pack(name).digest == pack.digest
        assert pack_of_file(pack.pack_id, name).digest == pack.digest
    write_pack(tmp_path / "spatial")
    assert find_pack("spatial").name == "spatial"
    assert find_pack(Path("spatial")).digest == find_pack("./spatial").digest == pack.digest


def test_wrong_devices_are_refused() -> None:
    for name in ("gpu", "", "cuda:x"):
        with pytest.raises(DeviceError, match="no device"):
            make_decoder(find_pack("spatial"), name)
