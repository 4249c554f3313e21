"""Latent models: the autoencoder around the trajectory, noise levels, one fixed prompt."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file

import gesso
from gesso.autoencoder import Autoencoder
from gesso.checkpoints.latent import LatentSpace, dead_leaves, measured_levels
from gesso.codec import PillowCodec
from gesso.errors import ModelError
from gesso.frame import Frame
from gesso.noise import gradient
from gesso.runtime import Runtime
from gesso.tiling import Box

from .conftest import tiny_text_unet, tiny_unet, tiny_vae, write_latent

FP32 = Runtime("cpu", "fp32")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.fixture
def embedding() -> torch.Tensor:
    return torch.randn(1, 7, 12, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def folder(tmp_path: Path, embedding: torch.Tensor) -> Path:
    place = write_latent(tmp_path / "sd", DDIMScheduler(**BETAS, prediction_type="v_prediction"))
    save_file({"prompt_embeds": embedding}, place / "prompt_embeds.safetensors")
    return place


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
@pytest.mark.parametrize("step", [10, 500])
def test_it_denoises_latents_as_the_scheduler_does(
    tmp_path: Path, embedding: torch.Tensor, prediction: str, step: int
) -> None:
    scheduler = DDIMScheduler(**BETAS, prediction_type=prediction, clip_sample=False)
    folder = write_latent(tmp_path / "sd", scheduler)
    save_file({"prompt_embeds": embedding[0]}, folder / "prompt_embeds.safetensors")
    denoiser = gesso.load(str(folder), runtime=FP32)
    assert denoiser.grid == 4 and denoiser.tile == 32 and denoiser.space.factor == 2
    bar = scheduler.alphas_cumprod[step]
    sigma = ((1 - bar) / bar).sqrt()
    z = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1)) * (1 + sigma)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    scheduler.set_timesteps(1000)
    with torch.inference_mode():
        out = unet(bar.sqrt() * z, step, embedding.expand(2, -1, -1)).sample
        expected = scheduler.step(out, step, bar.sqrt() * z).pred_original_sample
        torch.testing.assert_close(
            denoiser(z, sigma.expand(2)), expected, rtol=1e-4, atol=1e-4 * (1 + float(sigma))
        )


def test_pixels_go_through_the_autoencoder_and_back(folder: Path) -> None:
    space = gesso.load(str(folder), runtime=FP32).space
    vae = AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False)
    pixels = torch.rand(1, 3, 16, 24) * 2 - 1
    with torch.inference_mode():
        latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        torch.testing.assert_close(space.encode(pixels), latents)
        torch.testing.assert_close(
            space.decode(latents), vae.decode(latents / vae.config.scaling_factor).sample
        )
    assert vae.config.scaling_factor == 0.18215
    assert space.bound(torch.tensor([9.0])) == 9.0


def test_autoencoders_of_old_releases_are_read(folder: Path) -> None:
    """Before 0.18 diffusers called the projections of attention otherwise."""
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    before = gesso.load(str(folder), runtime=FP32).space
    pixels = torch.linspace(-1, 1, 3 * 64).reshape(1, 3, 8, 8)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(path)
    for new, name in old.items():
        tensors = {key.replace(f"0.{new}.", f"0.{name}."): t for key, t in tensors.items()}
    assert any(".query." in key for key in tensors)
    save_file(tensors, path, {"format": "pt"})
    moved = folder.rename(folder.with_name("old"))
    after = gesso.load(str(moved), runtime=FP32).space
    with torch.inference_mode():
        torch.testing.assert_close(after.encode(pixels), before.encode(pixels))


def test_half_precision_leaves_the_autoencoder_alone(folder: Path) -> None:
    denoiser = gesso.load(str(folder), runtime=Runtime("cpu", "bf16"))
    assert next(denoiser.network.parameters()).dtype == torch.bfloat16
    assert next(denoiser.space.autoencoder.network.parameters()).dtype == torch.float32


def test_noise_of_latents_is_of_their_position() -> None:
    space = LatentSpace(Autoencoder(tiny_vae()))
    device = torch.device("cpu")
    whole = space.noise(Box(0, 0, 64, 64), 3, 1, device)
    part = space.noise(Box(16, 32, 20, 24), 3, 1, device)
    assert whole.shape == (1, 4, 32, 32)
    assert torch.equal(part, whole[:, :, 8:18, 16:28])
    assert abs(float(whole.std()) - 1) < 0.05
    channels = torch.corrcoef(whole[0].flatten(1))
    assert float((channels - torch.eye(4)).abs().max()) < 0.1
    draws = torch.cat([space.noise(Box(0, 0, 64, 64), 3, d, device)[0] for d in range(3)])
    assert float((torch.corrcoef(draws.flatten(1)) - torch.eye(12)).abs().max()) < 0.15


def test_noise_of_latents_goes_with_its_places() -> None:
    space = LatentSpace(Autoencoder(tiny_vae()))
    box, device = Box(0, 0, 64, 48), torch.device("cpu")
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(48), indexing="ij")
    places = torch.stack([rows + 2 * 7, columns - 2 * 5])  # a latent sample is two pixels
    still = space.noise(box, 3, 1, device)
    assert torch.equal(space.noise(box, 3, 1, device, torch.stack([rows, columns])), still)
    moved = space.noise(box, 3, 1, device, places)
    assert torch.equal(moved[:, :, :-7, 5:], still[:, :, 7:, :-5])


def test_levels_are_the_errors_of_one_compression() -> None:
    levels = measured_levels(lambda pixels: pixels * 3, 256)
    assert len(levels) == 6 and levels == sorted(levels)
    for pixel, latent in levels:
        assert math.isclose(latent, 3 * pixel, rel_tol=1e-5)
    # Qualities 90 and 5; five validation photographs have 0.018 to 0.050 and 0.10 to 0.17.
    assert 0.018 < levels[0][0] < 0.05 and 0.1 < levels[-1][0] < 0.17


def test_a_level_lies_between_what_was_measured() -> None:
    space = LatentSpace(Autoencoder(tiny_vae()))
    space.levels = [(0.01, 0.02), (0.1, 0.4)]
    assert math.isclose(space.level(0.01), 0.02) and math.isclose(space.level(0.1), 0.4)
    assert math.isclose(space.level(0.001), 0.002) and math.isclose(space.level(1.0), 4.0)
    middle = math.sqrt(0.01 * 0.1)
    assert math.isclose(space.level(middle), middle * math.sqrt(2 * 4))


def test_leaves_have_the_gradients_of_photographs() -> None:
    leaves = dead_leaves(256)
    assert leaves.shape == (3, 256, 256) and leaves.dtype == torch.uint8
    assert torch.equal(leaves, dead_leaves(256))
    frame = Frame.of(leaves)
    # Kodak's photographs: about 0.01 to 0.06
    assert 0.01 < float(gradient(frame)) < 0.06
    assert float(leaves.float().std()) > 30


@pytest.mark.parametrize(
    ("name", "shape", "word"),
    [
        ("prompt_embeds", (1, 7, 11), r"\(1, 7, 11\).*wants \(1, tokens, 12\)"),
        ("prompt_embeds", (2, 7, 12), r"\(2, 7, 12\)"),
        ("other", (1,), "has no tensor prompt_embeds"),
    ],
)
def test_an_embedding_that_does_not_fit_is_named(
    folder: Path, name: str, shape: tuple[int, ...], word: str
) -> None:
    save_file({name: torch.zeros(shape)}, folder / "prompt_embeds.safetensors")
    with pytest.raises(ModelError, match=word):
        gesso.load(str(folder), runtime=FP32)


def test_without_prompt_or_parts_the_mend_is_named(tmp_path: Path, folder: Path) -> None:
    (folder / "prompt_embeds.safetensors").unlink()
    with pytest.raises(ModelError, match=r"wants the embedding of a prompt.*prompt_embeds"):
        gesso.load(str(folder), runtime=FP32)
    index = json.loads((folder / "model_index.json").read_text())
    for path in (folder / "vae").iterdir():
        path.unlink()
    (folder / "vae").rmdir()
    with pytest.raises(ModelError, match="lacks its folder vae"):
        gesso.load(str(folder), runtime=FP32)
    del index["vae"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="no vae"):
        gesso.load(str(folder), runtime=FP32)


@pytest.mark.parametrize(
    ("unet", "word"),
    [
        ({"in_channels": 9}, "denoises 9 channels where latents have 4"),
        (
            {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 8,
                "projection_class_embeddings_input_dim": 64,
            },
            "states addition_embed_type",
        ),
    ],
    ids=["inpainting", "xl"],
)
def test_other_latent_models_are_refused(tmp_path: Path, unet: dict[str, Any], word: str) -> None:
    place = write_latent(tmp_path / "sd", DDIMScheduler(), tiny_text_unet(**unet))
    save_file({"prompt_embeds": torch.zeros(1, 7, 12)}, place / "prompt_embeds.safetensors")
    with pytest.raises(ModelError, match=word):
        gesso.load(str(place), runtime=FP32)


def test_an_unconditional_latent_model_needs_no_prompt(tmp_path: Path) -> None:
    unet = tiny_unet(in_channels=4, out_channels=4, sample_size=16)
    place = write_latent(tmp_path / "ldm", DDIMScheduler(**BETAS), unet)
    picture = np.zeros((20, 40, 3), np.uint8)
    assert gesso.enhance(picture, sigma=0.1, steps=1, model=str(place), runtime=FP32).shape == (
        20,
        40,
        3,
    )


def write_text(folder: Path) -> Any:
    """A CLIP text encoder and a tokenizer of a few words, as pipelines hold them."""
    transformers = pytest.importorskip("transformers")
    words = ["<|startoftext|>", "<|endoftext|>", "a</w>", "b</w>", "a", "b"]
    place = folder / "tokenizer"
    place.mkdir()
    (place / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    (place / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 7})
    )
    torch.manual_seed(6)
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=12,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=7,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    encoder = transformers.CLIPTextModel(config).eval()
    encoder.save_pretrained(folder / "text_encoder")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return encoder


def test_one_prompt_is_encoded_once(folder: Path) -> None:
    (folder / "prompt_embeds.safetensors").unlink()
    encoder = write_text(folder)
    empty = gesso.load(str(folder), runtime=FP32).layout.condition["encoder_hidden_states"]
    with torch.no_grad():
        expected = encoder(torch.tensor([[0, 1, 1, 1, 1, 1, 1]]))[0]
    torch.testing.assert_close(empty, expected)


def test_the_prompt_is_the_user_s(folder: Path) -> None:
    (folder / "prompt_embeds.safetensors").unlink()
    encoder = write_text(folder)
    (folder / "gesso.json").write_text('{"prompt": "a b"}')
    given = gesso.load(str(folder), runtime=FP32).layout.condition["encoder_hidden_states"]
    with torch.no_grad():
        expected = encoder(torch.tensor([[0, 2, 3, 1, 1, 1, 1]]))[0]
    torch.testing.assert_close(given, expected)


def test_without_transformers_the_mend_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "prompt_embeds.safetensors").unlink()
    write_text(folder)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install gesso\[latent\].*prompt_embeds"):
        gesso.load(str(folder), runtime=FP32)


def test_the_whole_trajectory_stays_in_latents(
    folder: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = gesso.load(str(folder), runtime=FP32).space
    assert len(space.levels) == 6  # measured once, by encoding pictures
    calls = {"encode": 0, "decode": 0}
    for name in calls:
        whole = getattr(space, name)

        def counted(x: torch.Tensor, name: str = name, whole: Any = whole) -> torch.Tensor:
            calls[name] += 1
            return whole(x)  # type: ignore[no-any-return]

        monkeypatch.setattr(space, name, counted)
    out = gesso.enhance(picture, sigma=0.2, steps=3, model=str(folder), runtime=FP32)
    assert isinstance(out, Image.Image) and out.size == picture.size
    # 70 x 44 in tiles of 32 that share 8: three by two
    assert calls == {"encode": 6, "decode": 6}


def test_the_constraint_of_slow_reaches_through_the_autoencoder(
    folder: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = lambda codec, quality: lambda rgb: rgb / 2  # noqa: E731
    monkeypatch.setattr(PillowCodec, "differentiable", half, raising=False)

    def run(step_size: float) -> np.ndarray[Any, Any]:
        out = gesso.enhance(
            picture, "jpeg", 20, "slow", model=str(folder), steps=2, step_size=step_size,
            posterior_mean=False, runtime=FP32,
        )  # fmt: skip
        return np.asarray(out).astype(int)

    assert np.abs(run(0.0) - run(0.3)).max() > 0
