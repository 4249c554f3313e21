"""Training an autoencoder: losses, palettes, what is frozen, the way back from a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from gesso.autoencoder import Autoencoder
from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.latent.codec import LatentCodec, shared_palette
from gesso.runtime import Runtime
from gesso.training import autoencoder
from gesso.training.autoencoder import AutoencoderConfig, AutoencoderTrainer, train_autoencoder

CPU = Runtime("cpu", "fp32")
NETWORK = {
    "encoder_block_out_channels": (8, 8, 8),
    "decoder_block_out_channels": (8, 8, 8),
    "num_encoder_blocks": (0, 1, 1),
    "num_decoder_blocks": (1, 1, 0),
}
missing = missing_lpips_alex() or missing_dists()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AutoencoderConfig:
    monkeypatch.setattr(autoencoder, "SETTLE", 1)
    (tmp_path / "data").mkdir()
    Image.fromarray(data.astronaut()[:256, 128:384]).save(tmp_path / "data" / "one.png")
    return AutoencoderConfig(
        data=str(tmp_path / "data"), out=str(tmp_path / "run"), steps=4, batch=2, crop=32,
        warmup=1, every=2, ema=0.9, palettes=(4, 16), lpips=0.0, dists=0.0, adversarial=0.1,
        network=NETWORK,
    )  # fmt: skip


def _trained(config: AutoencoderConfig, steps: int) -> AutoencoderTrainer:
    trainer = AutoencoderTrainer(config, CPU)
    trainer.read()
    for _ in range(steps):
        trainer.update(*trainer.draw())
    return trainer


def test_it_learns(config: AutoencoderConfig) -> None:
    config = replace(config, steps=150, adversarial=0.0, lr=3e-3)
    trainer = AutoencoderTrainer(config, CPU)
    trainer.read()
    losses = [float(trainer.update(*trainer.draw())[0].mean()) for _ in range(150)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_the_adversary_is_heard_from_its_share_on(config: AutoencoderConfig) -> None:
    trainer = AutoencoderTrainer(replace(config, adversary_from=0.5), CPU)
    trainer.read()
    before = {k: v.clone() for k, v in trainer.adversary.network.state_dict().items()}
    for _ in range(2):
        trainer.update(*trainer.draw())
    after = trainer.adversary.network.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    trainer.update(*trainer.draw())
    moved = trainer.adversary.network.state_dict()
    assert not all(torch.equal(v, moved[k]) for k, v in before.items())


def test_a_frozen_encoder_stays(config: AutoencoderConfig) -> None:
    trainer = AutoencoderTrainer(replace(config, frozen="encoder"), CPU)
    trainer.read()
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    for _ in range(3):
        trainer.update(*trainer.draw())
    after = trainer.network.state_dict()
    same = {k for k, v in before.items() if torch.equal(v, after[k])}
    assert {k for k in before if k.startswith("encoder")} <= same
    assert not {k for k in before if k.startswith("decoder")} <= same


def test_what_is_frozen_must_be_known(config: AutoencoderConfig) -> None:
    with pytest.raises(InputError, match="--frozen is encoder"):
        AutoencoderTrainer(replace(config, frozen="decoder"), CPU)


def test_gradients_reach_the_encoder_through_the_palette(config: AutoencoderConfig) -> None:
    trainer = _trained(replace(config, unquantised=0.0, adversarial=0.0), 3)
    trainer.optimizer.zero_grad(set_to_none=True)
    mean, _, level = trainer.loss(*trainer.draw())
    mean.backward()  # type: ignore[no-untyped-call]  # torch states no types here
    assert set(level.tolist()) <= {4.0, 16.0}
    first = next(trainer.network.encoder.parameters())
    assert first.grad is not None and bool(first.grad.abs().sum() > 0)


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    config: AutoencoderConfig, tmp_path: Path
) -> None:
    whole = train_autoencoder(config, CPU)
    broken = replace(config, out=str(tmp_path / "broken"))
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(broken, CPU, stop=lambda: next(asked))
    again = train_autoencoder(broken, CPU)
    one, two = (load_file(m / "diffusion_pytorch_model.safetensors") for m in (whole, again))
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    cards = [ModelCard.read(model) for model in (whole, again)]
    assert cards[0].settings == cards[1].settings


def test_what_is_written_is_diffusers_s_and_codes_pictures(config: AutoencoderConfig) -> None:
    folder = train_autoencoder(config, CPU)
    network = AutoencoderTiny.from_pretrained(
        folder, torch_dtype=torch.float32, low_cpu_mem_usage=False
    )
    assert network.config.scaling_factor != 1.0
    card = ModelCard.read(folder)
    assert card.role == "autoencoder"
    model: Autoencoder = card.make(CPU)
    assert (model.factor, model.channels) == (4, 4)
    palette = shared_palette(card, 16)
    assert palette is not None and palette.shape == (16, 4)
    codec = LatentCodec(str(folder), runtime=CPU)
    source = Image.fromarray(data.astronaut()[:60, :90])
    assert codec.decode(codec.encode(source, 16)).size == (90, 60)


def test_latents_leave_it_at_unit_variance(config: AutoencoderConfig) -> None:
    trainer = _trained(config, 3)
    trainer.export(Path(config.out) / "model", {})
    model: Autoencoder = ModelCard.read(Path(config.out) / "model").make(CPU)
    clean = trainer.sampler.draw(64, trainer.rng)
    with torch.inference_mode():
        latents = (model.encode(clean) - model.shift) * model.scale
    assert 0.7 < float(latents.std()) < 1.4


def test_it_begins_from_finished_weights(config: AutoencoderConfig, tmp_path: Path) -> None:
    folder = train_autoencoder(config, CPU)
    trainer = AutoencoderTrainer(replace(config, out=str(tmp_path / "second")), CPU)
    trainer.start_from(folder)
    assert trainer.palettes.encoded() == ModelCard.read(folder).settings["palettes"]
    known: Any = load_file(folder / "diffusion_pytorch_model.safetensors")
    for key, value in trainer.network.state_dict().items():
        assert torch.equal(value, known[key].float())
    with pytest.raises(InputError, match="cannot begin from"):
        other = replace(config, network={**NETWORK, "num_encoder_blocks": (0, 2, 1)})
        AutoencoderTrainer(other, CPU).start_from(folder)


@pytest.mark.skipif(missing is not None, reason=str(missing))
def test_validation_through_palettes(
    config: AutoencoderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder, "VALIDATION_SIZES", (4, 16))
    config = replace(config, val=config.data, lpips=1.0, dists=1.0)
    card = ModelCard.read(train_autoencoder(config, CPU))
    figures = card.figures["training"]["validation"]
    assert set(figures) == {"lpips 4", "dists 4", "lpips 16", "dists 16"}
    assert all(0 < value < 2 for value in figures.values())
