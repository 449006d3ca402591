"""Training of the network that refines wavelet pictures, behind the entropy model of a pack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrmcodec.decoders.base import Progress
from lrmcodec.decoders.ids import Architecture
from lrmcodec.decoders.refine_net import RefineNet, refined
from lrmcodec.decoders.registry import find_pack
from lrmcodec.decoders.wavelet import WaveletDecoder
from lrmcodec.train.coded_pages import CodedPage, coded_files, test_pages
from lrmcodec.train.export import card_architecture, write_pack
from lrmcodec.train.loop import CLIPS_SHARE, card_of_run
from lrmcodec.train.pages import digest, held_out_pages, page_files
from lrmcodec.train.recipe import Recipe, RecipeError
from lrmcodec.train.refine_trainer import RefineTrainer

CODED_PAGES = 1500


class RefineJob:
    """A `loop.Job`: the trainer of the network, and coded pages that it is tested on.

    The recipe's `training.start` names the pack whose entropy model is kept.
    """

    def __init__(self, recipe: Recipe, cache: Path, device: str, progress: Progress) -> None:
        self.recipe = recipe
        self.base = find_pack(recipe.training.start or "wavelet")
        if self.base.arch_id != Architecture.WAVELET:
            raise RecipeError(f"pack '{self.base.name}' has no entropy model of wavelets.", "Change 'start'.")
        model = WaveletDecoder(self.base).model
        pages = page_files(recipe.data, cache, lambda done: progress(CLIPS_SHARE * done / 2, "making the pages"))
        files = coded_files(pages, model, self.base.digest, CODED_PAGES, cache,
                            lambda done: progress(CLIPS_SHARE * (1 + done) / 2, "coding the pages"))
        self._sources = {name: len(paths) for name, paths in pages.items()}
        self._tests = test_pages(held_out_pages(recipe.data, cache), model)
        self._digest = digest(path for path, _ in files)
        self.trainer = RefineTrainer(recipe, files, device)

    def clips(self) -> dict[str, str]:
        """Digest of the coded pages."""
        return {"pages": self._digest}

    def start(self, pack: str) -> None:
        """Nothing: the pack's entropy model is kept as it is."""

    def words(self, errors: list[float]) -> str:
        """Error of the last steps."""
        return f"{100 * np.mean(errors):.1f} % of the error left"

    def row(self, errors: list[float]) -> dict[str, float]:
        """Share of the squared error left in training since the last row, and in held-out pages as decoded."""
        net = RefineNet.from_tensors(self.trainer.tensors(), self.recipe.network.depth)
        found = {"train_left": round(float(np.mean(errors)), 5)}
        for name, pages in self._tests.items():
            left = [_left(page, net) for page in pages]
            found[f"{name}_latent_left"], found[f"{name}_basis_left"] = (
                round(float(value), 5) for value in np.mean(left, 0))
        return found

    def write(self, folder: Path, log: Mapping[str, Any]) -> None:
        """Write the pack as it stands now."""
        network, base = self.recipe.network, self.base.card["architecture"]
        shape = {"channels": base["channels"], "hidden": base["hidden"], "refine_width": network.width,
                 "refine_depth": network.depth}
        card = {"name": self.recipe.name, "architecture": card_architecture(Architecture.REFINED_WAVELET, shape),
                "training": f"{self.trainer.step_count} steps behind the entropy model of pack '{self.base.name}', "
                            f"{CODED_PAGES} coded cuts of pages: {self._sources}",
                "recipe": self.recipe.portable(),
                "run": {"pages": self._sources, "pages_sha256": self._digest,
                        **card_of_run(self.trainer, str(self.trainer.device), log)}}
        write_pack(folder, card, {**self.base.tensors(), **self.trainer.tensors()})


def _left(page: CodedPage, net: RefineNet) -> tuple[float, float]:
    """Shares of the squared error that are left in the latent and in the basis pictures of a coded page."""
    decoded = page.decoded.astype(np.float64)
    error = np.array(list(refined(iter(decoded), page.q, net))) - decoded - page.missing
    before, after = ((values**2).sum((1, 2)) for values in (page.missing, error))
    return after[0] / before[0], after[1:].sum() / before[1:].sum()
