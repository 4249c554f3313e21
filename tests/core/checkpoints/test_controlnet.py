"""ControlNets: found in either layout, added as diffusers' own pipeline adds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionControlNetPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

import gesso
from gesso.checkpoints.controlnet import ControlNet, load_controlnet
from gesso.checkpoints.denoisers import VPDenoiser
from gesso.errors import InputError, ModelError
from gesso.latent.edges import canny_condition
from gesso.latent.repair import RepairOptions, repair
from gesso.runtime import Runtime
from gesso.sampling import ddim_sample

from .conftest import tiny_controlnet, tiny_text_unet, tiny_unet, tiny_vae, write_latent

FP32 = Runtime("cpu", "fp32")
STABLE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}


def embedding() -> torch.Tensor:
    return torch.randn(1, 7, 12, generator=torch.Generator().manual_seed(4))


def write(folder: Path, **scheduler: Any) -> Path:
    place = write_latent(folder, DDIMScheduler(**{**STABLE, **scheduler}))
    save_file({"prompt_embeds": embedding()}, place / "prompt_embeds.safetensors")
    return place


def load(folder: Path) -> VPDenoiser:
    denoiser = gesso.load(str(folder), runtime=FP32)
    assert isinstance(denoiser, VPDenoiser)
    return denoiser


@pytest.fixture
def denoiser(tmp_path: Path) -> VPDenoiser:
    return load(write(tmp_path / "sd"))


@pytest.fixture
def control(tmp_path: Path, denoiser: VPDenoiser) -> ControlNet:
    tiny_controlnet().save_pretrained(tmp_path / "canny")
    return load_controlnet(tmp_path / "canny", denoiser, FP32)


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def edges() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(1, 3, 16, 24, generator=generator) < 0.3).float()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_it_samples_as_diffusers_pipeline(
    tmp_path: Path, latents: torch.Tensor, edges: torch.Tensor, prediction: str, weight: float
) -> None:
    scheduler = DDIMScheduler(**STABLE, prediction_type=prediction)
    pipeline = StableDiffusionControlNetPipeline(
        vae=tiny_vae(),
        text_encoder=None,
        tokenizer=None,
        unet=tiny_text_unet(),
        controlnet=tiny_controlnet(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path / "pipeline"
    pipeline.save_pretrained(folder)
    save_file({"prompt_embeds": embedding()}, folder / "prompt_embeds.safetensors")
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt_embeds=embedding().expand(2, -1, -1),
        image=edges.expand(2, -1, -1, -1),
        latents=latents,
        num_inference_steps=4,
        guidance_scale=1.0,
        controlnet_conditioning_scale=weight,
        output_type="latent",
    ).images
    denoiser = load(folder)
    levels = denoiser.rising(4, 1.0)
    least, most = (1 + levels[[0, -1]].square()).sqrt().tolist()
    steered = load_controlnet(folder, denoiser, FP32).steer(edges, weight)
    with torch.inference_mode():
        found, plain = (
            ddim_sample(d, latents * most, levels.flip(0)) / least for d in (steered, denoiser)
        )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)
    assert float((plain - expected).abs().max()) > 0.05


def test_one_evaluation_by_hand(
    denoiser: VPDenoiser, control: ControlNet, latents: torch.Tensor, edges: torch.Tensor
) -> None:
    step = 301
    bar = DDIMScheduler(**STABLE).alphas_cumprod[step]
    sigma = (1 / bar - 1).sqrt()
    unet: UNet2DConditionModel = tiny_text_unet().eval()
    prompt = embedding().expand(2, -1, -1)
    with torch.inference_mode():
        z = bar.sqrt() * latents
        down, middle = tiny_controlnet()(
            z, step, prompt, edges.expand(2, -1, -1, -1), 0.4, return_dict=False
        )
        noise = unet(
            z,
            step,
            prompt,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        found = control.steer(edges, 0.4)(latents, sigma.expand(2))
    torch.testing.assert_close(found, latents - sigma * noise, rtol=1e-4, atol=1e-4)


def test_without_weight_it_is_the_plain_model(
    denoiser: VPDenoiser, control: ControlNet, latents: torch.Tensor, edges: torch.Tensor
) -> None:
    sigma = torch.tensor([0.5, 0.5])
    with torch.inference_mode():
        plain = denoiser(latents, sigma)
        assert torch.equal(control.steer(edges, 0.0)(latents, sigma), plain)
        assert not torch.equal(control.steer(edges, 0.01)(latents, sigma), plain)
        # Steering leaves the model itself as it was.
        assert torch.equal(denoiser(latents, sigma), plain)


def test_each_picture_has_its_own_condition(
    control: ControlNet, latents: torch.Tensor, edges: torch.Tensor
) -> None:
    sigma = torch.tensor([0.5, 0.5])
    both = torch.cat([edges, 1 - edges])
    with torch.inference_mode():
        found = control.steer(both, 1.0)(latents, sigma)
        for index in range(2):
            one = slice(index, index + 1)
            alone = control.steer(both[one], 1.0)(latents[one], sigma[one])
            torch.testing.assert_close(found[one], alone, rtol=1e-4, atol=1e-5)


def test_a_repair_is_shown_the_edges_of_the_decoded_picture(
    denoiser: VPDenoiser,
    control: ControlNet,
    latents: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    steer = control.steer

    def watched(condition: torch.Tensor, weight: float) -> Any:
        seen.append((condition, weight))
        return steer(condition, weight)

    monkeypatch.setattr(control, "steer", watched)
    # An odd size, to be mirrored: the U-Net halves it once.
    latents = latents[:, :, :7, :11] * 3
    options = RepairOptions(2, 0.5, edges=0.7)
    found = repair(denoiser, latents, options, control)
    ((condition, weight),) = seen
    assert weight == 0.7 and condition.shape == (2, 3, 16, 24)
    mirrored = torch.cat([latents, latents[:, :, :, -1:]], 3)
    mirrored = torch.cat([mirrored, mirrored[:, :, -1:]], 2)
    with torch.inference_mode():
        assert torch.equal(condition, canny_condition(denoiser.space.decode(mirrored)))
    assert 0 < float(condition.mean()) < 1
    plain = repair(denoiser, latents, options)
    assert found.shape == plain.shape == latents.shape and not torch.equal(found, plain)
    unweighted = repair(denoiser, latents, RepairOptions(2, 0.5, edges=0.0), control)
    assert torch.equal(unweighted, plain) and len(seen) == 1


def test_a_controlnet_of_another_prior_is_named(
    tmp_path: Path, control: ControlNet, latents: torch.Tensor
) -> None:
    with pytest.raises(ModelError, match="another prior"):
        repair(load(write(tmp_path / "other")), latents, control=control)


def test_a_condition_of_another_shape_is_named(control: ControlNet) -> None:
    with pytest.raises(InputError, match=r"give \(B, 3, H, W\)"):
        control.steer(torch.zeros(1, 1, 16, 24), 0.5)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"cross_attention_dim": 16}, "cross_attention_dim 16, its prior 12"),
        ({"block_out_channels": (8, 8)}, r"block_out_channels \[8, 8\], its prior \[8, 16\]"),
        ({"layers_per_block": 2}, "layers_per_block 2, its prior 1"),
        ({"in_channels": 3}, "in_channels 3, its prior 4"),
        ({"conditioning_channels": 1}, "looks at 1 channels"),
        ({"global_pool_conditions": True}, "states global_pool_conditions"),
        ({"num_class_embeds": 4}, "states num_class_embeds"),
        ({"conditioning_embedding_out_channels": (4, 8, 8)}, "4 times smaller.* 2 times"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, denoiser: VPDenoiser, config: dict[str, Any], word: str
) -> None:
    tiny_controlnet(**config).save_pretrained(tmp_path / "odd")
    with pytest.raises(ModelError, match=word):
        load_controlnet(tmp_path / "odd", denoiser, FP32)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, denoiser: VPDenoiser) -> None:
    tiny_controlnet().save_pretrained(tmp_path / "canny")
    path = tmp_path / "canny" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["controlnet_mid_block.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 missing keys, such as controlnet_mid_block\.weight"):
        load_controlnet(tmp_path / "canny", denoiser, FP32)


def test_other_folders_and_priors_name_the_mend(tmp_path: Path, denoiser: VPDenoiser) -> None:
    folder = tmp_path / "sd"
    with pytest.raises(ModelError, match="has no single ControlNetModel"):
        load_controlnet(folder, denoiser, FP32)
    index = json.loads((folder / "model_index.json").read_text())
    index["controlnet"] = ["controlnet", "MultiControlNetModel"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"no single ControlNetModel.*MultiControlNetModel"):
        load_controlnet(folder, denoiser, FP32)
    with pytest.raises(ModelError, match="holds a UNet2DConditionModel; pass the folder of"):
        load_controlnet(folder / "unet", denoiser, FP32)
    with pytest.raises(ModelError, match="there is no folder"):
        load_controlnet(tmp_path / "none", denoiser, FP32)
    tiny_controlnet().save_pretrained(tmp_path / "canny")
    unet = tiny_unet(in_channels=4, out_channels=4, sample_size=16)
    plain = load(write_latent(tmp_path / "ldm", DDIMScheduler(**STABLE), unet))
    with pytest.raises(ModelError, match="wants a Stable Diffusion"):
        load_controlnet(tmp_path / "canny", plain, FP32)
    with pytest.raises(ModelError, match="wants a Stable Diffusion"):
        load_controlnet(tmp_path / "canny", object(), FP32)
