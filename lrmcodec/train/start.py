"""Starting a training run from the weights of a pack, also one of another latent structure."""

from __future__ import annotations

import torch
from torch import Tensor

from lrmcodec.decoders.grid_network import GridShape
from lrmcodec.decoders.grid_siren import GridSirenDecoder
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.registry import find_pack
from lrmcodec.formats.pack import Pack
from lrmcodec.train.gated_trainer import GatedTrainer
from lrmcodec.train.grid_trainer import GridTrainer
from lrmcodec.train.recipe import RecipeError
from lrmcodec.train.trainer import Trainer

SAME = ("width", "depth", "grid")


@torch.no_grad()
def load_start(trainer: Trainer, name_or_path: str) -> None:
    """Take the network of a pack over; its basis and encoder too where they fit and mean the same.

    Frequency factors may differ: weights are scaled so that the network computes the same. Channels that the pack
    lacks keep their first weights.

    Raises
    ------
    RecipeError
        When the pack is of another architecture, width, depth or grid.
    PackError
        When there is no such pack.
    """
    pack = find_pack(name_or_path)
    if isinstance(trainer, GatedTrainer) and pack.arch_id == Architecture.GATED_SIREN:
        _start_gated(trainer, pack)
        return
    if not isinstance(trainer, GridTrainer) or pack.arch_id != GridSirenDecoder.arch_id:
        raise RecipeError(f"a run of this structure cannot start from pack '{pack.name}'.", "Remove 'start'.")
    shape = GridShape(**{key: pack.card["architecture"][key] for key in GridShape.__dataclass_fields__})
    for key in SAME:
        if getattr(shape, key) != getattr(trainer.shape, key):
            raise RecipeError(f"pack '{pack.name}' has {key} {getattr(shape, key)}, the recipe another.",
                              "Give the recipe the same.")
    tensors = {key: torch.from_numpy(value).float() for key, value in pack.tensors().items()}
    _copy_net(trainer, tensors, shape)
    same = shape.latent_channels == trainer.shape.latent_channels and shape.channels == trainer.shape.channels
    if same and shape.max_rank == trainer.shape.max_rank and trainer.recipe.training.orthonormal:
        trainer.modules.basis.copy_(tensors["basis"])
        trainer.modules.encoder.load_state_dict({key.removeprefix("encoder."): value for key, value in tensors.items()
                                                 if key.startswith("encoder.")})
    if not trainer.shape.latent_channels:
        trainer.modules.mean[:len(tensors["mean"])] = tensors["mean"].to(trainer.device)
    else:
        trainer.latents.table[:, :len(tensors["mean"])] = tensors["mean"].to(trainer.device)


def _start_gated(trainer: GatedTrainer, pack: Pack) -> None:
    """Take over the network, and the basis where it has the same shape and the recipe keeps it orthonormal or full."""
    card, mine = pack.card["architecture"], trainer.shape.to_card()
    for key in set(mine) - {"max_rank"}:
        if card[key] != mine[key]:
            raise RecipeError(f"pack '{pack.name}' has {key} {card[key]}, the recipe another.",
                              "Give the recipe the same.")
    tensors = {key: torch.from_numpy(value).float() for key, value in pack.tensors().items()}
    trainer.modules.net.load_state_dict({key: tensors[key] for key in trainer.modules.net.state_dict()})
    basis = trainer.modules.basis
    if basis.shape == tensors["basis"].shape and trainer.recipe.training.orthonormal:
        basis.copy_(tensors["basis"])


def _copy_net(trainer: GridTrainer, tensors: dict[str, Tensor], shape: GridShape) -> None:
    net = trainer.modules.net
    factors = [old / new for old, new in zip(shape.w0(), trainer.shape.w0(), strict=True)]
    channels = min(shape.channels, trainer.shape.channels)
    net.first_weight.copy_(factors[0] * tensors["first_weight"])
    net.first_bias.copy_(factors[0] * tensors["first_bias"])
    for i, factor in enumerate(factors[1:]):
        net.hidden_weight[i] = (factor * tensors["hidden_weight"][i]).to(trainer.device)
        net.hidden_bias[i] = (factor * tensors["hidden_bias"][i]).to(trainer.device)
        net.modulation[i, :, :channels] = (factor * tensors["modulation"][i, :, :channels]).to(trainer.device)
    net.displacement[:, :channels] = tensors["displacement"][:, :channels].to(trainer.device)
    net.last_weight.copy_(tensors["last_weight"])
    net.last_bias.copy_(tensors["last_bias"])
