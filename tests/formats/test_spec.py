"""SPEC.md equals the code: its tables, its bit layouts, and readers written from its text alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zstandard

from lrmcodec import quantize
from lrmcodec.cardiac import direction
from lrmcodec.decoders import autoencoder, grid_siren, refine_net, wavelet_coder, wavelet_model, wavelet_values
from lrmcodec.decoders.ids import RETIRED, Architecture
from lrmcodec.formats import (
    av1_video,
    container,
    dark,
    entropy,
    layout,
    layout_v1,
    layout_v2,
    picture,
    time_code,
    warning_code,
)
from lrmcodec.formats.container import MAGIC, PREFIX_BYTES, VERSION, Component
from lrmcodec.formats.entropy import encode_ints
from lrmcodec.formats.fields import Field
from lrmcodec.formats.pack_numbers import NUMBERED
from lrmcodec.formats.time_code import encode_times
from lrmcodec.video import payload

SPEC = (Path(container.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
MASK = (1 << 64) - 1
VIDEO = SimpleNamespace(MAX_GROUP=av1_video.MAX_GROUP, MAX_EVERY=payload.MAX_EVERY, MAX_BOUND=payload.MAX_BOUND)


def table(section: str) -> list[dict[str, str]]:
    """Rows of the first Markdown table behind the heading `section`."""
    lines = SPEC.split(f" {section}\n", 1)[1].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


@pytest.mark.parametrize(("section", "fields"), [
    ("Prefix", layout_v2.PREFIX), ("Fields", layout_v2.HEADER), ("Segment", layout_v2.SEGMENT), ("Entry", layout.ENTRY),
    ("Prefix of version 1", layout_v1.PREFIX), ("Header of version 1", layout_v1.HEADER),
    ("Segment of version 1", layout_v1.SEGMENT)])
def test_field_tables_equal_the_code(section: str, fields: tuple[Field, ...]) -> None:
    written = [(row["field"], row["type"], row["least"], row["limit"]) for row in table(section)]
    coded = [(field.name, field.kind, *(("", "") if field.kind.startswith("raw")
                                        else (str(field.least), str(field.limit)))) for field in fields]
    assert written == coded


def test_flags_packs_and_kinds_equal_the_code() -> None:
    assert [(int(row["flag"]), row["name"]) for row in table("Header")] == [
        (flag.value, str(flag.name).lower()) for flag in layout_v2.Flag]
    assert [(int(row["number"]), row["pack_id"], int(row["arch_id"])) for row in table("Packs")] == [
        (number, pack.pack_id.hex(), pack.arch_id) for number, pack in NUMBERED.items()]
    kinds = next(row for row in table("Segment") if row["field"] == "kinds")["meaning"]
    for bit, kind in enumerate(layout_v2.KINDS):
        assert f"{bit} `{kind.name.lower()}`" in kinds


def test_component_ids_equal_the_code() -> None:
    assert [(int(row["id"]), row["name"]) for row in table("Components")] == [
        (component.value, component.name.lower()) for component in Component]


def test_component_places_equal_the_code() -> None:
    places = {int(row["id"]): row["of"] for row in table("Components")}
    assert {key for key, place in places.items() if place == "clip"} == layout.CLIP_COMPONENTS
    assert {key for key, place in places.items() if place == "segment"} == layout.SEGMENT_COMPONENTS


def test_architecture_ids_equal_the_code() -> None:
    field = next(row for row in table("Fields") if row["field"] == "arch_id")
    named = [*[(int(item), f"{int(item)} `{item.label}`") for item in Architecture],
             *[(number, f"{number} is retired") for number in RETIRED]]
    for _, words in named:
        assert words in field["meaning"]
    for item in Architecture:
        assert f"**{int(item)}, `{item.label}`.**" in SPEC


def test_component_ids_are_frozen() -> None:
    assert {component.name: component.value for component in Component} == {
        "PICTURES": 1, "COEFFS": 2, "LATENT": 3, "TIMES": 4, "WAVELETS": 5, "VIDEO": 6, "DARK": 7, "PHASE": 32,
        "METADATA": 33, "WARNINGS": 34, "DIGEST": 35, "VENTRICLE": 36, "HEART": 37, "STUDY": 40}
    assert container.FIRST_ANCILLARY_ID == 32


def test_constants_equal_the_code() -> None:
    wavelets = SimpleNamespace(**{**vars(wavelet_values), **vars(wavelet_model), **vars(wavelet_coder)})
    modules = {"Wavelet pictures": wavelets, "Refinement": refine_net,
               "Integers": entropy, "Times": time_code, "Metadata": container, "Study": container, "Digest": container,
               "Warnings": warning_code, "Pictures": picture,
               "Coefficients": quantize, "grid-siren": grid_siren, "autoencoder": autoencoder,
               "Phase": direction, "Video": VIDEO, "Dark": dark}
    rows = table("Constants")
    steps = {row["name"]: float(row["value"]) for row in rows if row["used in"] == "Coefficients"}
    for row in rows:
        if row["name"] not in steps:
            assert getattr(modules[row["used in"]], row["name"]) == int(row["value"]), row["name"]
    for q in (0, 1, 100, 255):
        expected = steps["STEP_BASE"] * 2 ** (q / steps["STEP_DOUBLING"])
        assert quantize.pixel_step(q) == pytest.approx(expected, rel=1e-12)


def test_limits_in_the_text_equal_the_code() -> None:
    assert "(r + 1) * H * W <= 2^28, r * T <= 2^20" in SPEC
    assert (container.MAX_BASIS_VALUES, container.MAX_COEFFS) == (1 << 28, 1 << 20)


def test_dictionary_of_warnings_equals_the_code() -> None:
    written = "\n".join(f"    {line}" for line in warning_code.PHRASES.split("\n"))
    assert f"\n\n{written}\n\n" in SPEC


def test_magic_version_and_prefix_equal_the_text() -> None:
    assert "the bytes `LRM`" in SPEC
    assert f"# The .lrm format, version {VERSION}\n" in SPEC
    assert (MAGIC, PREFIX_BYTES) == (b"LRM", 8)


def test_every_version_is_in_the_history() -> None:
    assert [int(row["version"]) for row in table("Versions")] == list(range(1, VERSION + 1))


class Bits:
    """Range decoder of SPEC.md, section Integers, in plain integers."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._lower, self._range = 0, MASK
        self._point = self._word() << 32 | self._word()

    def _word(self) -> int:
        word = self._data[self._at:self._at + 4]
        self._at += 4
        return int.from_bytes(word.ljust(4, b"\0"), "big")

    def read(self, p: int) -> int:
        split = (65536 - p) * (2**24 - 2) // 65536 + 1
        scale = self._range // 2**24
        value = (self._point - self._lower & MASK) // scale
        assert value < 2**24
        bit = int(value >= split)
        self._lower = self._lower + scale * split * bit & MASK
        self._range = scale * (2**24 - split if bit else split)
        if self._range < 2**32:
            self._lower, self._range = self._lower << 32 & MASK, self._range << 32
            self._point = (self._point << 32 & MASK) | self._word()
        return bit

    def plain(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + self.read(1 << 15)
        return value


class Integers:
    """Reader of range-coded integers from SPEC.md, section Integers."""

    def __init__(self, data: bytes) -> None:
        self._start = data[0]
        self._bits = Bits(data[1:])
        self._states: dict[tuple[int, int], list[int]] = {}

    def _adaptive(self, g: int, i: int) -> int:
        if (g, i) not in self._states:
            m = max((256 << g // 2) >> 4 if g % 2 == 0 else (362 << (g - 1) // 2) >> 4, 8) + (64 if i > 0 else 0)
            start = 32768 if g == 28 else 65536 * m // (256 + m)
            self._states[g, i] = [start, start, 0]
        fast, slow, seen = self._states[g, i]
        bit = self._bits.read(max(32, min(65504, ((fast + slow) >> 6) << 5)))
        rate = 2 + (seen >> 1)
        self._states[g, i] = [fast + ((65536 * bit - fast) >> min(rate, 4)),
                              slow + ((65536 * bit - slow) >> min(rate, 7)), seen + 1]
        return bit

    def _magnitude(self, g: int) -> int:
        high = 0
        while high < 12 and self._adaptive(g, high):
            high += 1
        if high == 12:
            k = 0
            while self._adaptive(28, k):
                k += 1
            high += 2**k + self._bits.plain(k) - 1
        shift = max((g - 11) // 2, 0)
        return high << shift | self._bits.plain(shift)

    def read(self, rows: int, n: int) -> list[list[int]]:
        out: list[list[int]] = []
        above: list[int] = []
        for row in range(rows):
            line: list[int] = []
            a = [*above, above[-1], above[0]] if row else []  # a[n], and a[-1] by Python's index
            left = left2 = (3 * a[0] + a[1]) >> 1 if row else (1 << self._start) >> 1
            for c in range(n):
                context = (4 * left + 2 * left2 + 2 * a[c] + a[c + 1] + a[c - 1]) if row else 6 * left + 2 * left2
                top = context.bit_length() - 1
                g = context if context < 2 else min(2 * top + (context >> top - 1 & 1), 27)
                magnitude = self._magnitude(g)
                line.append(-magnitude if magnitude and self._bits.plain(1) else magnitude)
                left, left2 = magnitude, left
            out.append(line)
            above = [abs(value) for value in line]
        return out


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 60), (5, 40)])
@pytest.mark.parametrize("scale", [0.2, 2, 50, 3000, 1e7])
def test_a_reader_written_from_the_text_reads_integers(shape: tuple[int, int], scale: float) -> None:
    values = np.rint(np.random.default_rng(3).laplace(size=shape) * scale).astype(np.int64)
    values[0, 0] = 1
    data = encode_ints(values)
    if data[0] == 0x10:
        data = encode_ints(values, thorough=False)
    np.testing.assert_array_equal(Integers(data).read(*shape), values)


def test_every_probability_splits_as_in_the_text() -> None:
    rng = np.random.default_rng(0)
    chances = rng.permutation(np.repeat(np.arange(32, 65536, 32), 2)).tolist()
    bits = [int(rng.random() * 65536 < p) for p in chances]
    coder = entropy._Encoder()
    for bit, p in zip(bits, chances, strict=True):
        coder.bit(bit, p)
    reader = Bits(coder.finish().data)
    assert [reader.read(p) for p in chances] == bits


def test_zstd_integers_are_laid_out_as_in_the_text() -> None:
    values = np.tile(np.random.default_rng(0).integers(-10**8, 10**8, 8), (2, 100))
    data = encode_ints(values)
    assert data[0] == 0x10
    planes = np.frombuffer(zstandard.ZstdDecompressor().decompress(data[1:]), np.uint8).reshape(4, -1).astype(np.int64)
    columns = (planes * (1 << 8 * np.arange(4))[:, None]).sum(0)
    columns = np.where(columns >= 1 << 31, columns - (1 << 32), columns)
    np.testing.assert_array_equal(columns.reshape(-1, 2).T, values)


def test_times_are_laid_out_as_in_the_text() -> None:
    ticks = np.cumsum([0, 40, 44, 36, 400, 40]) * 1000
    payload = encode_times(ticks / 1e6).payload
    unit, shift, at = 0, 0, 0
    numbers = []
    for byte in payload:
        unit |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            numbers.append(unit)
            unit = shift = 0
            if len(numbers) == 2:
                break
    gaps = [numbers[0] * (numbers[1] + value) for value in Integers(payload[at:]).read(1, 5)[0]]
    np.testing.assert_array_equal(np.cumsum([0, *gaps]), ticks)


def test_coefficients_are_transformed_as_in_the_text() -> None:
    rng = np.random.default_rng(1)
    count, steps = 9, np.array([0.5, 2.0])
    coeffs = rng.normal(size=(count, 2)) * 10
    payload = quantize.code_coeffs(coeffs, steps)
    integers = np.array(Integers(payload).read(2, count))
    t, k = np.arange(count)[:, None], np.arange(count)[None]
    scale = np.where(k == 0, np.sqrt(1 / count), np.sqrt(2 / count))
    waves = scale * np.cos(np.pi * (2 * t + 1) * k / (2 * count))
    expected = waves @ (integers * steps[:, None]).T
    np.testing.assert_allclose(quantize.restore_coeffs(payload, count, steps), expected, atol=1e-9)
