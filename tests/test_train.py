"""Training: the loss falls, the basis stays orthonormal, an interrupted run goes on, packs load, splits hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lrmcodec.decoders.siren import SirenDecoder, SirenShape
from lrmcodec.formats.pack import load_pack
from lrmcodec.train.auto_decoder import AutoDecoder, Recipe
from lrmcodec.train.checkpoint import append_log, load_state, save_state
from lrmcodec.train.data import (
    LUNG_TEST_PATIENTS,
    Frames,
    lung_clips,
    lung_files,
    phantom_clip,
    pick_frames,
    resize_area,
)
from lrmcodec.train.export import pack_tensors, write_pack
from lrmcodec.train.lrm_ortho import card, train

SHAPE = SirenShape(width=32, depth=4, latent_size=24, max_rank=4, w0_first=8.0, w0_last=10.0)
RECIPE = Recipe(clips_a_step=4, pixels_a_frame=64, ranks=(1, 2, 4, 4), network_rate=1e-3)


@pytest.fixture(scope="module")
def clips() -> list[Frames]:
    torch.set_num_threads(1)
    return [phantom_clip(seed, (32, 32), 6) for seed in range(6)]


def test_loss_falls_and_the_basis_stays_orthonormal(clips: list[Frames]) -> None:
    trainer = AutoDecoder(SHAPE, clips, RECIPE)
    errors = [trainer.step(index / 400) for index in range(400)]
    assert np.mean(errors[-50:]) < 0.6 * np.mean(errors[:20])
    gram = (trainer.basis.T @ trainer.basis).detach()
    torch.testing.assert_close(gram, torch.eye(SHAPE.max_rank), atol=1e-3, rtol=0)


def test_a_resumed_run_goes_on_as_if_never_interrupted(clips: list[Frames], tmp_path: Path) -> None:
    whole = AutoDecoder(SHAPE, clips, RECIPE)
    for _ in range(12):
        whole.step(0.1)
    first = AutoDecoder(SHAPE, clips, RECIPE)
    for _ in range(7):
        first.step(0.1)
    save_state(first.state(), tmp_path / "state.pt")
    second = AutoDecoder(SHAPE, clips, RECIPE)
    second.load(load_state(tmp_path / "state.pt"))
    for _ in range(5):
        second.step(0.1)
    assert second.step_count == 12
    torch.testing.assert_close(second.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(second.latents, whole.latents, rtol=0, atol=0)


def test_a_checkpoint_of_another_shape_is_refused(clips: list[Frames]) -> None:
    state = AutoDecoder(SHAPE, clips, RECIPE).state()
    other = SirenShape(width=16, depth=4, latent_size=24, max_rank=4, w0_first=8.0, w0_last=10.0)
    with pytest.raises(ValueError, match="width"):
        AutoDecoder(other, clips, RECIPE).load(state)


def test_checkpoints_are_written_whole(tmp_path: Path) -> None:
    save_state({"step_count": 1}, tmp_path / "state.pt")
    with pytest.raises(AttributeError):
        save_state({"step_count": lambda: None}, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt") == {"step_count": 1}


def test_training_logs_checkpoints_and_exports_a_pack(clips: list[Frames], tmp_path: Path) -> None:
    trainer = AutoDecoder(SHAPE, clips, RECIPE)
    train(trainer, 0, 0.01, tmp_path, checkpoint_s=0.2)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0].startswith("step,seconds,batch_psnr_db")
    assert len(rows) >= 3
    assert load_state(tmp_path / "state.pt")["step_count"] == trainer.step_count
    write_pack(tmp_path / "pack", card(trainer), pack_tensors(trainer))
    decoder = SirenDecoder.from_pack(load_pack(tmp_path / "pack"), "cpu")
    fitted = decoder.fit(clips[0], 2, 0, lambda done, label: None)
    assert fitted.latent.shape == (SHAPE.latent_size,)


def test_turning_the_latents_for_the_pack_changes_no_pixel(clips: list[Frames], tmp_path: Path) -> None:
    trainer = AutoDecoder(SHAPE, clips, RECIPE)
    for _ in range(30):
        trainer.step(0.0)
    tensors = pack_tensors(trainer)
    np.testing.assert_allclose(tensors["basis"].T @ tensors["basis"], np.eye(SHAPE.max_rank), atol=1e-3)
    assert (np.diff(tensors["latent_scale"]) <= 1e-6).all()
    before = torch.einsum("lwd,nd->lnw", trainer.net.modulation, trainer.basis.T).detach().numpy()
    after = np.einsum("lwd,dn->lnw", tensors["modulation"], tensors["basis"])
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_log_has_one_header(tmp_path: Path) -> None:
    for step in (1, 2):
        append_log(tmp_path / "log.csv", {"step": step})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step", "1", "2"]


def test_lung_split_is_by_patient(tmp_path: Path) -> None:
    patients = [4.0, 1.0, 134.0, 116.0]
    lines = [f"clip{index}.mp4,{patient}" for index, patient in enumerate(patients)]
    (tmp_path / "ATTRIBUTION.csv").write_text("\n".join(["file,patient", *lines]) + "\n")
    training, test = (lung_files(tmp_path, test=side) for side in (False, True))
    assert [path.name for path in training] == ["clip1.mp4", "clip2.mp4"]
    assert [path.name for path in test] == ["clip0.mp4", "clip3.mp4"]
    assert {4, 116} <= LUNG_TEST_PATIENTS


def test_area_resize_keeps_the_mean() -> None:
    frames = phantom_clip(0, (64, 48), 2)
    small = resize_area(frames, (16, 16))
    assert small.shape == (2, 16, 16)
    assert small.mean() == pytest.approx(frames.mean(), abs=0.5)


def test_pick_frames_repeats_in_short_clips() -> None:
    frames = np.arange(3, dtype=np.uint8)[:, None, None]
    assert pick_frames(frames, 5)[:, 0, 0].tolist() == [0, 0, 1, 2, 2]


def test_lung_clips_are_read_cut_and_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = phantom_clip(1, (40, 40), 10)
    monkeypatch.setattr("lrmcodec.train.data.read_gray", lambda path, limit: frames)
    pieces = lung_clips([tmp_path / "a.mp4"], (16, 16), 4, span=10)
    assert [piece.shape for piece in pieces] == [(4, 16, 16), (4, 16, 16)]
    np.testing.assert_array_equal(pieces[0], pieces[1][:, :, ::-1])
