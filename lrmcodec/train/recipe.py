"""Recipes: everything that decides a training run, read from TOML and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from lrmcodec.formats.errors import LrmError

STRUCTURES = ("low-rank", "video", "framewise", "autoencoder", "wavelet", "refined")
METHODS = ("auto-decoder", "meta", "projected")
PRECISIONS = ("float32", "tf32", "bf16")
FOLDER = Path(__file__).resolve().parent / "recipes"

Part = TypeVar("Part")


class RecipeError(LrmError):
    """A recipe that cannot be used."""


@dataclass(frozen=True)
class Data:
    """Clips to train on.

    Attributes
    ----------
    simulated : int
        Simulated clips in the pool.
    preset : str
        Their preset.
    fps : float
        Their frame rate; with `frames`, decides how much of a beat is seen.
    size : int
        Height and width in pixels that all clips are brought to.
    frames : int
        Frames of every clip.
    echonet, lung, videos : str
        Folders of further clips, empty for none; `--data` gives them on the command line.
    """

    simulated: int = 0
    preset: str = "echonet_like"
    fps: float = 18.0
    size: int = 112
    frames: int = 16
    echonet: str = ""
    lung: str = ""
    videos: str = ""


@dataclass(frozen=True)
class Network:
    """Hyper-parameters of the network, see `decoders.grid_network.GridShape`; the autoencoder uses its own.

    With `gates` above 0 the network is that of `decoders.gated_network`, whose v is pictures.

    For wavelets, `channels` are the features and `width` the hidden units of the entropy model; for what refines them,
    `width` are the features and `depth` the layers.
    """

    width: int = 64
    depth: int = 5
    channels: int = 8
    motion_channels: int = 2
    grid: int = 16
    gates: int = 0
    gate_grid: int = 8
    max_rank: int = 32
    w0_first: float = 96.0
    w0_last: float = 24.0
    latent_size: int = 512


@dataclass(frozen=True)
class Training:
    """One training run.

    Attributes
    ----------
    method : str
        "auto-decoder" keeps the latent of every clip of the pool and moves it with the network; "meta" fits
        latents in an inner loop from zero and derives the network through it; "projected", for networks with
        gates, fits them to their best and derives the network there.
    steps : int
    clips, frames, pixels : int
        Clips a step, frames of each, pixels of each frame.
    ranks : tuple of int
        Ranks drawn at random, one a step, so that one pack serves all. Repeat a rank to draw it more often.
    network_rate, latent_rate : float
        First rates of Adam for the network and for stored latents.
    final_rate : float
        Share of the rates left at the end of the cosine.
    noise : float
        Width of the uniform noise on the latents that stands for their quantization.
    rate_weight : float
        Weight of the latents' estimated bits a value, in squared gray levels.
    orthonormal : bool
        Keep the basis orthonormal, or let it go where it will.
    inner_steps, inner_rate : int, float
        Of the inner loop of "meta"; of "projected" the first.
    start : str
        Pack to start the network from: a shipped one's name or a folder; empty for random weights.
    precision : str
        "float32", "tf32" or "bf16"; the last two for GPUs.
    check_every : int
        Steps between measurements on held-out clips and checkpoints.
    seed : int
    """

    method: str = "auto-decoder"
    steps: int = 1000
    clips: int = 12
    frames: int = 2
    pixels: int = 384
    ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 32, 32)
    network_rate: float = 2e-3
    latent_rate: float = 0.05
    final_rate: float = 0.02
    noise: float = 0.3
    rate_weight: float = 0.0
    orthonormal: bool = True
    inner_steps: int = 5
    inner_rate: float = 3.0
    start: str = ""
    precision: str = "float32"
    check_every: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """A whole recipe: name of the pack, structure of its latents, and the parts above."""

    name: str
    structure: str
    data: Data = field(default_factory=Data)
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=Training)

    def portable(self) -> dict[str, Any]:
        """Plain values for a card or a checkpoint, without the places of its data, which may move."""
        return asdict(replace(self, data=replace(self.data, echonet="", lung="", videos="")))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by the name of a shipped one ("lrm-ortho-cpu") or by its path.

    Raises
    ------
    RecipeError
        When there is none, it is no TOML, or an entry is unknown or out of its range.
    """
    path = Path(name_or_path)
    if not path.exists() and path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        names = ", ".join(shipped_recipes())
        raise RecipeError(f"the recipe {name_or_path} cannot be read ({error}).", f"Shipped: {names}.") from error
    return parse_recipe(values, str(name_or_path))


def with_folders(recipe: Recipe, folders: Mapping[str, str]) -> Recipe:
    """The recipe with folders of clips by source: echonet, lung, videos."""
    data = replace(recipe.data, echonet=folders.get("echonet", recipe.data.echonet),
                   lung=folders.get("lung", recipe.data.lung), videos=folders.get("videos", recipe.data.videos))
    return replace(recipe, data=data)


def shipped_recipes() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Recipe from TOML's values; errors as in `load_recipe`."""
    parts = {"data": Data, "network": Network, "training": Training}
    unknown = set(values) - {"name", "structure", *parts}
    if unknown or not {"name", "structure"} <= set(values):
        wrong = f"entry '{sorted(unknown)[0]}' is unknown" if unknown else "'name' and 'structure' are needed"
        raise RecipeError(f"{where}: {wrong}.", "docs/training.md lists all entries.")
    made: dict[str, Any] = {key: _part(kind, values.get(key, {}), f"{where}, [{key}]") for key, kind in parts.items()}
    recipe = Recipe(str(values["name"]), str(values["structure"]), **made)
    _check(recipe, where)
    return recipe


def _part(kind: type[Part], values: Any, where: str) -> Part:
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or not set(values) <= set(known):
        wrong = sorted(set(values) - set(known))[0] if isinstance(values, dict) else values
        raise RecipeError(f"{where}: entry '{wrong}' is unknown.", f"Known are {', '.join(known)}.")
    plain = {}
    for key, value in values.items():
        default = known[key].default
        wanted: Any = tuple if isinstance(default, tuple) else type(default)
        value = tuple(value) if isinstance(value, list) else value
        value = float(value) if wanted is float and type(value) is int else value
        if type(value) is not wanted:
            raise RecipeError(f"{where}: '{key}' is {value!r}, expected {wanted.__name__}.")
        plain[key] = value
    return kind(**plain)


def _check(recipe: Recipe, where: str) -> None:
    data, network, training = recipe.data, recipe.network, recipe.training
    for key, value, known in (("structure", recipe.structure, STRUCTURES), ("method", training.method, METHODS),
                              ("precision", training.precision, PRECISIONS)):
        if value not in known:
            raise RecipeError(f"{where}: {key} '{value}' is unknown.", f"Known are {', '.join(known)}.")
    positive = {"steps": training.steps, "clips": training.clips, "frames": min(training.frames, data.frames),
                "pixels": training.pixels, "size": data.size - 15, "check_every": training.check_every,
                "max_rank": network.max_rank, "depth": network.depth - 2, "grid": network.grid - 1,
                "width": network.width, "channels": network.channels, "latent_size": network.latent_size}
    for key, amount in positive.items():
        if amount < 1:
            raise RecipeError(f"{where}: '{key}' is too small.")
    if not training.ranks or not all(1 <= rank <= network.max_rank for rank in map(int, training.ranks)):
        raise RecipeError(f"{where}: ranks must be from 1 to max_rank, {network.max_rank}.")
    if (training.method == "projected") != (network.gates > 0):
        raise RecipeError(f"{where}: the method 'projected' is that of networks with gates, and theirs alone.")
    if network.gates and network.max_rank > network.gates * network.gate_grid**2:
        raise RecipeError(f"{where}: max_rank is above the {network.gates * network.gate_grid**2} values of the gates.")
    if network.max_rank > 512:
        raise RecipeError(f"{where}: max_rank is {network.max_rank}, a file allows 512.")
