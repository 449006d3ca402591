"""Clips to measure: files and folders, the bundled demonstration, simulated hearts, EchoNet-Dynamic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.echonet import HINT, TRACINGS, EchoClip, EchoNetDynamic
from lrmcodec.formats.errors import ClipError

SUFFIXES = frozenset({".avi", ".mp4", ".mov", ".mkv", ".webm", ".mpeg", ".mpg", ".gif", ".dcm", ".npy", ".npz"})
"""Kinds of files that are looked for in a folder."""

DEMO_SEED = 4
DEMO_SIZE = (112, 112)


@dataclass(frozen=True)
class Source:
    """Where a clip comes from: a file or folder of pictures at `path`, or the simulator with `preset` and `seed`."""

    name: str
    path: str | None = None
    preset: str = ""
    seed: int = 0
    size: tuple[int, int] | None = None
    gray: bool = False
    labels: Labels | None = None

    @property
    def source_bytes(self) -> int | None:
        """Bytes of the clip's own file; None for simulated clips and folders of pictures."""
        file = Path(self.path) if self.path is not None else None
        return file.stat().st_size if file is not None and file.is_file() else None

    def load(self) -> tuple[Clip, Labels | None]:
        """The clip, and its labels: given ones, or the simulator's truth.

        Raises
        ------
        ClipError
            When it cannot be read.
        """
        if self.path is None:
            return _simulate(self.preset, self.seed, self.size)
        from lrmcodec.formats.video import read_clip

        return read_clip(self.path, gray=self.gray, size=self.size), self.labels

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the process that measures."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Source:
        """Undo `to_json`."""
        labels = values.pop("labels")
        size = values.pop("size")
        return Source(**values, size=None if size is None else (size[0], size[1]), labels=_labels(labels))


def _labels(values: dict[str, Any] | None) -> Labels | None:
    if values is None:
        return None
    return Labels(tuple(values["ed_frames"]), tuple(values["es_frames"]), values["heart_rate_bpm"],
                  values["every_beat"])


def _simulate(preset: str, seed: int, size: tuple[int, int] | None) -> tuple[Clip, Labels | None]:
    from lrmcodec.simulate import simulate

    try:
        made = simulate(preset, seed, size=size)
    except ValueError as error:
        raise ClipError(f"this clip cannot be simulated: {error}") from error
    truth = made.truth
    is_heart = bool(truth.ed_frames or truth.es_frames)
    labels = Labels(tuple(truth.ed_frames), tuple(truth.es_frames), truth.heart_rate_bpm) if is_heart else None
    return made.clip, labels


def files(arguments: Sequence[str]) -> list[Source]:
    """Sources of clips named on the command line: files, folders of clips, folders of pictures, NAME=PATH.

    Raises
    ------
    ClipError
        When a folder holds no clip. A missing file is noticed when it is read, so that it stops no other clip.
    """
    sources: list[Source] = []
    for argument in arguments:
        name, path = _named(argument)
        sources += [Source(name or path.stem, str(path))] if not _is_folder_of_clips(path) else _in_folder(path)
    return _told_apart(sources)


def _named(argument: str) -> tuple[str, Path]:
    """Name and path of NAME=PATH, unless that is itself the path of something."""
    name, equals, path = argument.partition("=")
    if equals and name and "/" not in name and not Path(argument).exists():
        return name, Path(path)
    return "", Path(argument)


def _is_folder_of_clips(path: Path) -> bool:
    return path.is_dir() and not any(entry.suffix.lower() == ".png" for entry in path.iterdir())


def _in_folder(folder: Path) -> list[Source]:
    found = [Source(path.stem, str(path)) for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise ClipError(f"there is no clip in the folder {folder}.", f"Clips end in {' '.join(sorted(SUFFIXES))}.")
    return found


def _told_apart(sources: Iterable[Source]) -> list[Source]:
    """Clips of one name get numbers, and blanks are single, so that every row is known by its clip."""
    seen: dict[str, int] = {}
    apart = []
    for source in sources:
        name = " ".join(source.name.split())
        seen[name] = seen.get(name, 0) + 1
        apart.append(replace(source, name=name if seen[name] == 1 else f"{name}-{seen[name]}"))
    return apart


def demo() -> list[Source]:
    """The bundled lung clip and a simulated heart, both at the size of EchoNet-Dynamic."""
    from lrmcodec.samples import lung_clip_path

    return [Source("lung", str(lung_clip_path()), size=DEMO_SIZE),
            Source("heart", preset="echonet_like", seed=DEMO_SEED, size=DEMO_SIZE)]


def simulated(count: int, seed: int, preset: str = "echonet_like") -> list[Source]:
    """Clips of the simulator with consecutive seeds."""
    return [Source(f"{preset}_{seed + index}", preset=preset, seed=seed + index) for index in range(count)]


def echonet(root: Path, count: int | None = None) -> list[Source]:
    """Test clips of EchoNet-Dynamic with their one labelled pair of frames, at most `count` of them.

    One beat is labelled of several; a missing video is noticed when it is read, so that it stops no other clip.

    Raises
    ------
    ClipError
        When the folder is not one of EchoNet-Dynamic.
    """
    if not (root / TRACINGS).is_file():
        raise ClipError(f"{root} has no {TRACINGS}.", HINT)
    clips = [clip for clip in EchoNetDynamic(root).listed if clip.split == "TEST"]
    return [Source(clip.name, str(clip.path), labels=_one_beat(clip)) for clip in clips[:count]]


def _one_beat(clip: EchoClip) -> Labels | None:
    traced = clip.traced_frames
    return Labels((traced[-1],), (traced[0],), every_beat=False) if traced else None
