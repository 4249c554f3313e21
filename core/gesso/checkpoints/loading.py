"""A checkpoint's networks, built by diffusers from safetensors, and the denoiser around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso.checkpoints.autoencoders import build_autoencoder
from gesso.checkpoints.folder import Checkpoint, read
from gesso.checkpoints.network import build
from gesso.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from gesso.cards import ModelCard
    from gesso.checkpoints.denoisers import ForeignDenoiser, Layout
    from gesso.runtime import Runtime

__all__ = ["load_checkpoint"]

# Inputs that a U-Net may ask for and a prior has not.
INPUTS = ("addition_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim")


def load_checkpoint(card: ModelCard, runtime: Runtime) -> ForeignDenoiser:
    """The factory of folders in diffusers' format.

    Args:
        card: of :func:`gesso.checkpoints.card_of`.
        runtime: device and dtype; an AutoencoderKL computes in float32 whatever the dtype.

    Raises:
        ModelError: damaged or missing weights, or a network that needs more than noise level
            and one fixed class or prompt.
    """
    checkpoint = read(card.folder)
    card.verify()
    _check(checkpoint)
    layout = _layout(checkpoint, runtime)
    network = build(checkpoint.unet, runtime, runtime.dtype)
    return _denoiser(checkpoint, runtime.prepare(network), layout)


def _check(checkpoint: Checkpoint) -> None:
    folder, config = checkpoint.folder, checkpoint.unet.config
    channels = checkpoint.vae.config.get("latent_channels", 4) if checkpoint.vae else 3
    inner, outer = config.get("in_channels"), config.get("out_channels")
    what = "latents" if checkpoint.vae else "RGB pictures"
    if inner != channels:
        raise ModelError(
            f"{folder} denoises {inner} channels where {what} have {channels}; "
            "grey, inpainting, depth and upscaling models are no priors for them"
        )
    if outer not in (channels, 2 * channels):
        raise ModelError(f"{folder} gives {outer} channels for {channels}; it is no denoiser")
    asked = [name for name in INPUTS if config.get(name) is not None]
    if asked:
        raise ModelError(
            f"{folder} states {asked[0]} ({config[asked[0]]}): it wants more than a noise level "
            "and one embedding, as Stable Diffusion XL does; use a model such as 2.1"
        )
    if config.get("time_embedding_type") == "fourier" and checkpoint.kind == "vp":
        raise ModelError(f"{folder} embeds noise levels, yet its scheduler counts timesteps")


def _class_label(checkpoint: Checkpoint) -> int | None:
    """The class to give, None for an unconditional network; raises ModelError for a bad one."""
    folder, config, label = checkpoint.folder, checkpoint.unet.config, checkpoint.wishes.class_label
    if config.get("class_embed_type") is not None:
        raise ModelError(
            f"{folder} embeds {config['class_embed_type']!r} as its class; gesso gives a number "
            "out of num_class_embeds, or none"
        )
    count = config.get("num_class_embeds")
    if count is None:
        if label is not None:
            raise ModelError(f"{folder} has no classes; take class_label out of gesso.json")
        return None
    if label is None or not 0 <= label < count:
        raise ModelError(
            f"{folder} is class-conditional, and gesso knows no picture's class; name one for all "
            f'of them: write {{"class_label": N}} with N in [0, {count - 1}] into '
            f"{folder / 'gesso.json'}"
        )
    return label


def _layout(checkpoint: Checkpoint, runtime: Runtime) -> Layout:
    import torch

    from gesso.checkpoints.denoisers import Layout
    from gesso.checkpoints.latent import LatentSpace, prompt_embedding
    from gesso.space import PIXELS

    config, condition = checkpoint.unet.config, dict[str, torch.Tensor]()
    label = _class_label(checkpoint)
    if label is not None:
        condition["class_labels"] = torch.tensor([label], device=runtime.device)
    if checkpoint.unet.kind == "UNet2DConditionModel":
        embedding = prompt_embedding(checkpoint).to(runtime.device, runtime.dtype)
        condition["encoder_hidden_states"] = embedding
    vae = checkpoint.vae
    space = PIXELS if vae is None else LatentSpace(build_autoencoder(vae, runtime))
    # Every level but the last halves the size.
    grid = space.factor * 2 ** (len(config["block_out_channels"]) - 1)
    size = config.get("sample_size")
    side = min(size) if isinstance(size, list) else size
    tile = None if side is None else max(grid, side * space.factor // grid * grid)
    return Layout(grid, tile, space, runtime.dtype, condition)


def _denoiser(checkpoint: Checkpoint, network: nn.Module, layout: Layout) -> ForeignDenoiser:
    from gesso.checkpoints import denoisers as d

    scheduler = checkpoint.scheduler
    prediction = str(scheduler.get("prediction_type", "epsilon"))
    data = float(scheduler.get("sigma_data", 0.5))
    if checkpoint.kind == "edm":
        return d.ForeignEDM(network, layout, data, prediction)
    if checkpoint.kind == "consistency":
        least = float(scheduler.get("sigma_min", 0.002))
        return d.ConsistencyDenoiser(network, layout, data, least)
    try:
        signal = d.signal_of(scheduler)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ModelError(f"the schedule of {checkpoint.folder} is damaged: {error}") from error
    learned = checkpoint.unet.config.get("time_embedding_type") == "learned"
    return d.VPDenoiser(network, layout, signal, prediction, learned, scheduler)
