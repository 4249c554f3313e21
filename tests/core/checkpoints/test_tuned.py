"""A preprocessor in Stable Diffusion: what moves, what is written, what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data

import gesso
from gesso.cards import ModelCard, get_model
from gesso.checkpoints import load_checkpoint
from gesso.errors import InputError, ModelError
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.latent_generator import LatentGenerator, TunedUNet, is_projection, read_base
from gesso.runtime import Runtime
from gesso.training.attention import based
from gesso.training.distill import DistillConfig, DistillTrainer, train_distill
from gesso.training.preprocess import PreprocessConfig, PreprocessTrainer, train_preprocess

from .conftest import tiny_text_unet, tiny_unet, tiny_vae, write_latent

CPU = Runtime("cpu", "fp32")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SMALL: dict[str, Any] = {
    "steps": 4, "batch": 2, "crop": 32, "warmup": 1, "every": 2, "ema": 0.9, "codecs": ("jpeg",),
}  # fmt: skip
PREDICTIONS = pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
missing = missing_lpips_alex() or missing_dists()
perceptual = pytest.mark.skipif(missing is not None, reason=str(missing))

Tensors = dict[str, torch.Tensor]


def base_in(place: Path, prediction: str = "v_prediction") -> Path:
    scheduler = DDIMScheduler(**BETAS, prediction_type=prediction)
    write_latent(place, scheduler, tiny_text_unet(use_linear_projection=True))
    embedding = torch.randn(1, 7, 12, generator=torch.Generator().manual_seed(4))
    save_file({"prompt_embeds": embedding}, place / "prompt_embeds.safetensors")
    return place


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return base_in(tmp_path / "sd")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("gesso.training.preprocess.MEASURED", 2)
    (tmp_path / "data").mkdir()
    Image.fromarray(data.astronaut()[:256, 128:384]).save(tmp_path / "data" / "one.png")
    return tmp_path / "data"


@pytest.fixture
def distilling(photos: Path) -> DistillConfig:
    return DistillConfig(data=str(photos), out=str(photos.parent / "one"), **SMALL)


@pytest.fixture
def tuning(photos: Path) -> PreprocessConfig:
    return PreprocessConfig(data=str(photos), out=str(photos.parent / "two"), **SMALL)


def snapshot(module: torch.nn.Module) -> Tensors:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def moved(before: Tensors, after: Tensors) -> set[str]:
    assert before.keys() == after.keys()
    return {key for key in before if not torch.equal(before[key], after[key])}


@PREDICTIONS
def test_an_untrained_one_is_a_denoising_at_one_level(tmp_path: Path, prediction: str) -> None:
    folder = base_in(tmp_path / "sd", prediction)
    card = get_model(str(folder), "prior")
    plain = load_checkpoint(card, CPU)
    generator = LatentGenerator(TunedUNet(read_base(card, CPU), 2), ["jpeg", "hevc"])
    source, qp = torch.rand(2, 3, 16, 32) * 2 - 1, torch.tensor([30.0, 45.0])
    with torch.inference_mode():
        latents = plain.space.encode(source)
        expected = plain.space.decode(plain(latents, torch.ones(2)))
        torch.testing.assert_close(generator(source, qp, torch.tensor([1, 0])), expected)
    half = plain.timestep(torch.ones(1))
    bar = DDIMScheduler(**BETAS).alphas_cumprod[int(half)]
    assert float(bar) == pytest.approx(0.5, abs=2e-3)


@PREDICTIONS
def test_distilling_moves_projections_and_condition_alone(
    tmp_path: Path, distilling: DistillConfig, prediction: str
) -> None:
    folder = base_in(tmp_path / "sd", prediction)
    trainer = DistillTrainer(based(distilling, folder), CPU)
    trainer.start_from(folder)
    trainer.read()
    denoiser = trainer.network.denoiser
    frozen = (denoiser.network, denoiser.space.autoencoder.network, trainer.teacher)
    before, fake = [snapshot(module) for module in frozen], snapshot(trainer.fake)
    for _ in range(2):
        trainer.update(*trainer.draw())
    unet, vae, teacher = (moved(b, snapshot(m)) for b, m in zip(before, frozen, strict=True))
    wanted = {k for k in before[0] if is_projection(k) or k.startswith("class_embedding.")}
    assert wanted == unet and len(wanted) > 20
    assert not vae and not teacher
    assert moved(fake, snapshot(trainer.fake))
    assert set(trainer.network.state_dict()) == wanted


@perceptual
@PREDICTIONS
def test_the_cost_falls(tmp_path: Path, tuning: PreprocessConfig, prediction: str) -> None:
    folder = base_in(tmp_path / "sd", prediction)
    fast = replace(tuning, steps=100, lr=1e-2, anneal=0.0)
    trainer = PreprocessTrainer(based(fast, folder), CPU)
    trainer.start_from(folder)
    trainer.read()
    batch = trainer.draw()
    unet = trainer.network.denoiser.network
    before = snapshot(unet)

    def cost() -> float:
        trainer.noise.manual_seed(0)
        with torch.no_grad():
            return float(trainer.loss(*batch)[1].mean())

    first = cost()
    for _ in range(15):
        trainer.update(*batch)
    assert cost() < first - 0.005
    changed = moved(before, snapshot(unet))
    assert changed == set(trainer.network.state_dict())


@perceptual
def test_both_stages_resume_and_what_they_write_runs(
    tmp_path: Path,
    base: Path,
    distilling: DistillConfig,
    tuning: PreprocessConfig,
    picture: Image.Image,
) -> None:
    one = train_distill(distilling, CPU, start=base)
    two = train_preprocess(tuning, CPU, start=one)
    for train, config, start, whole in (
        (train_distill, distilling, base, one),
        (train_preprocess, tuning, one, two),
    ):
        broken: Any = replace(config, out=str(tmp_path / f"broken-{whole.parent.name}"))
        asked = iter([False, False, True])
        with pytest.raises(KeyboardInterrupt):
            train(broken, CPU, start=start, stop=lambda asked=asked: next(asked))
        again = train(broken, CPU, start=start)
        stated = [load_file(model / "attention.safetensors") for model in (whole, again)]
        assert not moved(*stated)
        assert ModelCard.read(again).settings == ModelCard.read(whole).settings
    card = ModelCard.read(two)
    assert card.settings["base"] == str(base)
    assert card.settings["base_sha256"] == get_model(str(base), "prior").sha256
    assert {file.name for file in two.iterdir()} == {"card.json", "attention.safetensors"}
    assert all(is_projection(k) or k.startswith("class_embedding.") for k in load_file(card.path))

    source = picture.crop((0, 0, 69, 43))
    found = [
        gesso.preprocess(source, "jpeg", q, guard=False, model=str(two), runtime=CPU)
        for q in (20, 60)
    ]
    assert all((f.size, f.mode) == ((69, 43), "RGB") for f in found)
    assert not np.array_equal(*map(np.asarray, found))


def test_another_base_is_refused(
    tmp_path: Path, base: Path, distilling: DistillConfig, photos: Path
) -> None:
    model = train_distill(replace(distilling, steps=1), CPU, start=base)
    card = json.loads((model / "card.json").read_text())
    other = base_in(tmp_path / "other", "epsilon")
    card["settings"]["base"] = str(other)
    wrong = tmp_path / "wrong"
    shutil.copytree(model, wrong)
    (wrong / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="was tuned on other weights"):
        gesso.preprocess(np.zeros((32, 32, 3), np.uint8), "jpeg", 30, model=str(wrong), runtime=CPU)
    on = replace(distilling, out=str(tmp_path / "on"), base=str(other))
    with pytest.raises(InputError, match="is not of"):
        train_distill(on, CPU, start=base)
    with pytest.raises(InputError, match="other weights than"):
        train_distill(replace(distilling, base=str(other)), CPU)
    with pytest.raises(InputError, match="knows the codecs jpeg"):
        train_distill(replace(on, base="", codecs=("hevc",)), CPU, start=model)
    with pytest.raises(InputError, match="leave out --teacher"):
        DistillTrainer(replace(on, teacher="consistency"), CPU)


def test_what_is_no_stable_diffusion_is_refused(
    tmp_path: Path, base: Path, distilling: DistillConfig
) -> None:
    shutil.rmtree(base / "vae")
    with pytest.raises(ModelError, match="lacks its folder vae"):
        train_distill(distilling, CPU, start=base)
    index = json.loads((base / "model_index.json").read_text())
    del index["vae"]
    (base / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="UNet2DConditionModel and no vae"):
        train_distill(distilling, CPU, start=base)
    scheduler = DDIMScheduler(**BETAS)
    unet = tiny_unet(in_channels=4, out_channels=4)
    plain = write_latent(tmp_path / "ldm", scheduler, unet, tiny_vae())
    with pytest.raises(ModelError, match="is no Stable Diffusion"):
        train_distill(distilling, CPU, start=plain)
