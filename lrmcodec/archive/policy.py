"""What becomes of a clip: the target of coding, for all clips or by modality, view and path."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.decoders.registry import DEFAULT_PACK
from lrmcodec.rate import DEFAULT_QUALITY, LEVELS, floors
from lrmcodec.rate import Target as FloorTarget

TARGETS = ("quality", "ratio", "psnr")
CONDITIONS = ("modality", "view", "path")

@dataclass(frozen=True)
class Target:
    """At most one of quality (0 to 100), ratio and psnr (dB); the least SSIM3D; or keep the file as it is."""

    quality: float | None = None
    ratio: float | None = None
    psnr: float | None = None
    min_ssim: float | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ArchiveError(f"a policy asks for {' and '.join(given)} at once.", "Give one of quality, ratio, psnr.")
        for name, low, high in (("quality", 0, 100), ("ratio", 1, 1e9), ("psnr", 1, 120), ("min_ssim", 1e-3, 0.9999)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ArchiveError(f"a policy's {name} of {value:g} is outside {low:g} to {high:g}.", "Correct it.")

    def attempts(self) -> Iterator[dict[str, float]]:
        """Arguments of `codec.encode`: the target; where a ratio gives less than the least SSIM3D, that alone."""
        if self.ratio is not None:
            yield {"ratio": self.ratio}
        if self.min_ssim is None and self.ratio is None:
            yield {"quality": DEFAULT_QUALITY if self.quality is None else self.quality} if self.psnr is None else {
                "psnr_db": self.psnr}
        elif self.min_ssim is not None:
            yield _floors(self.psnr, self.min_ssim, self.quality)

    def as_dict(self) -> dict[str, Any]:
        """What is given."""
        return {key: value for key, value in asdict(self).items() if value not in (None, False)}


def _floors(psnr_db: float | None, min_ssim: float, quality: float | None) -> dict[str, float]:
    """Floors that keep a PSNR or a quality, and a least SSIM3D."""
    promised = FloorTarget() if quality is None else floors(quality)
    least = {"psnr_db": psnr_db or promised.psnr_db, "min_ssim": max(min_ssim, promised.min_ssim or 0)}
    return {name: value for name, value in least.items() if value is not None}


@dataclass(frozen=True)
class Rule:
    """A target for clips whose modality, view and path fit the patterns given; '' fits all."""

    target: Target
    modality: str = ""
    view: str = ""
    path: str = ""

    def fits(self, modality: str, view: str, path: str) -> bool:
        """Whether it is meant; patterns as of shells, small and capital letters alike."""
        pairs = ((self.modality, modality), (self.view, view), (self.path, path))
        return all(not pattern or fnmatchcase(value.casefold(), pattern.casefold()) for pattern, value in pairs)


@dataclass(frozen=True)
class Policy:
    """All that decides what is stored of a source; an archive has one, and keeps to it."""

    default: Target = field(default_factory=Target)
    rules: tuple[Rule, ...] = ()
    pack: str = DEFAULT_PACK
    lossless_originals: bool = False
    keep_study: bool = False
    hash_paths: bool = False
    mask: str = ""

    def target(self, modality: str, view: str, path: str) -> Target:
        """Of the first rule that fits, else the default one."""
        return next((rule.target for rule in self.rules if rule.fits(modality, view, path)), self.default)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the archive's own record."""
        rules = [{name: getattr(rule, name) for name in CONDITIONS if getattr(rule, name)} | rule.target.as_dict()
                 for rule in self.rules]
        return {"default": self.default.as_dict(), "rule": rules, "pack": self.pack,
                "lossless_originals": self.lossless_originals, "keep_study": self.keep_study,
                "hash_paths": self.hash_paths, "mask": self.mask}


def policy_from(values: Mapping[str, Any]) -> Policy:
    """Undo `Policy.as_dict`; also what a policy file holds.

    Raises
    ------
    ArchiveError
        On names and values that a policy does not have.
    """
    known = {"default", "rule", "pack", "lossless_originals", "keep_study", "hash_paths", "mask"}
    _refuse_unknown(values, known)
    default, rules = values.get("default", {}), values.get("rule", [])
    tables = [default, *(rules if isinstance(rules, list) else [rules])]
    if not isinstance(rules, list) or not all(isinstance(table, Mapping) for table in tables):
        raise ArchiveError("a policy has a table [default] and tables [[rule]], of another form here.", "Correct it.")
    flags = {name: values.get(name, False) for name in ("lossless_originals", "keep_study", "hash_paths")}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ArchiveError(f"a policy's {name} is true or false, not {flag!r}.", "Correct it.")
    mask = values.get("mask", "")
    if mask not in ("", "sector"):
        raise ArchiveError(f"a policy's mask is 'sector' or left out, not {mask!r}.", "Correct it.")
    return Policy(_target(default), tuple(_rule(rule) for rule in rules), str(values.get("pack", DEFAULT_PACK)),
                  mask=mask, **flags)


def read_policy(path: Path) -> dict[str, Any]:
    """Content of a policy file, checked.

    Raises
    ------
    ArchiveError
        When it cannot be read or is no policy.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror}."
        raise ArchiveError(what, "Check the name and its permissions.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{path} is not a TOML file ({error}).", "docs/archive.md shows one.") from error
    try:
        policy_from(values)
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error.what}", error.hint) from error
    return values


def _rule(values: Mapping[str, Any]) -> Rule:
    conditions = {name: values[name] for name in CONDITIONS if name in values}
    if not all(isinstance(value, str) for value in conditions.values()) or not conditions:
        raise ArchiveError(f"a rule names a pattern for one of {', '.join(CONDITIONS)}.", "Correct it.")
    return Rule(_target({key: value for key, value in values.items() if key not in CONDITIONS}), **conditions)


def _target(values: Mapping[str, Any]) -> Target:
    _refuse_unknown(values, {*TARGETS, "min_ssim", "keep"})
    if values.get("quality") in LEVELS:
        values = {**values, "quality": LEVELS[values["quality"]]}
    for name, value in values.items():
        right = isinstance(value, bool) if name == "keep" else isinstance(value, int | float) and value is not True
        if not right:
            raise ArchiveError(f"a policy's {name} cannot be {value!r}.", "Correct it.")
    return Target(**values)


def _refuse_unknown(values: Mapping[str, Any], known: set[str]) -> None:
    for name in values:
        if name not in known:
            raise ArchiveError(f"a policy has no {name!r} here; it has {', '.join(sorted(known))}.", "Correct it.")
