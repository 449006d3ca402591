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

LUNG_SIZE = (112, 112)
QUICK_HEART = "quick heart"
"""Preset of the heart of the demonstration, which is no preset of the simulator."""


@dataclass(frozen=True)
class Source:
    """Where a clip comes from: a file or folder of pictures at `path`, or the simulator with `preset` and `seed`.

    Attributes
    ----------
    name : str
    path : str or None
    preset, seed
        Of the simulator.
    size : tuple of int or None
        Height and width to bring it to.
    gray : bool
        Take the luma of colored frames.
    labels : Labels or None
        Those of a file; simulated clips bring their own.
    group : str
        Kind of clips that it belongs to, where a run has several.
    frame_limit : int or None
        Only so many frames of its beginning; simulated clips are made as long.
    cache : str
        Folder that keeps simulated clips.
    """

    name: str
    path: str | None = None
    preset: str = ""
    seed: int = 0
    size: tuple[int, int] | None = None
    gray: bool = False
    labels: Labels | None = None
    group: str = ""
    frame_limit: int | None = None
    cache: str = ""

    @property
    def source_bytes(self) -> int | None:
        """Bytes of the clip's own file; None for simulated clips and folders of pictures."""
        file = Path(self.path) if self.path is not None else None
        return file.stat().st_size if file is not None and file.is_file() else None

    @property
    def needs_torch(self) -> bool:
        """Whether loading it imports torch, and with it much memory."""
        return self.path is None and self.preset != QUICK_HEART

    def load(self) -> Labelled:
        """The clip, and its labels: given ones, or the simulator's truth.

        Raises
        ------
        ClipError
            When it cannot be read.
        """
        if self.path is None and self.cache:
            from lrmcodec.benchmarks.measure.kept_clips import kept

            height, width = self.size or (0, 0)
            return kept(Path(self.cache), f"{self.preset}_{self.seed}_{self.frame_limit or 0}_{height}x{width}",
                        lambda: _simulate(self))
        return _simulate(self) if self.path is None else (_read(self.path, self), self.labels)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the process that measures."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Source:
        """Undo `to_json`."""
        labels, size = values.pop("labels"), values.pop("size")
        return Source(**values, size=None if size is None else (size[0], size[1]),
                      labels=None if labels is None else Labels.from_json(labels))


Labelled = tuple[Clip, Labels | None]


def _read(path: str, source: Source) -> Clip:
    from lrmcodec.formats.video import read_clip

    clip = read_clip(path, gray=source.gray, size=source.size)
    limit = source.frame_limit
    return clip if limit is None else Clip(clip.frames[:limit], clip.times_s[:limit], clip.metadata)


def _simulate(source: Source) -> Labelled:
    if source.preset == QUICK_HEART:
        return _quick_heart(source.size)
    from lrmcodec.simulate import simulate

    try:
        made = simulate(source.preset, source.seed, size=source.size, frame_count=source.frame_limit)
    except ValueError as error:
        raise ClipError(f"this clip cannot be simulated: {error}") from error
    truth = made.truth
    labels = Labels(tuple(truth.ed_frames), tuple(truth.es_frames), truth.heart_rate_bpm, True, truth.rhythm or "",
                    tuple(truth.lv_area_cm2 or ()))
    return made.clip, labels if labels.ed_frames or labels.es_frames else None


def _quick_heart(size: tuple[int, int] | None) -> Labelled:
    from lrmcodec.simulate.heart.phantom import demonstration_heart

    made = demonstration_heart() if size is None else demonstration_heart(size)
    return made.clip, Labels(tuple(made.ed_frames.tolist()), tuple(made.es_frames.tolist()), rhythm="sinus",
                             area=tuple(made.cavity_volume.tolist()))


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
    """The bundled lung clip, reduced, and the simulated heart of `lrmcodec demo`."""
    from lrmcodec.samples import lung_clip_path

    return [Source("lung", str(lung_clip_path()), size=LUNG_SIZE), Source("heart", preset=QUICK_HEART)]


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
