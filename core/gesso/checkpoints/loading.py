"""A checkpoint's networks, built by diffusers from safetensors, and the denoiser around them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from gesso.checkpoints.folder import Checkpoint, Part, read
from gesso.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gesso.cards import ModelCard
    from gesso.checkpoints.denoisers import ForeignDenoiser, Layout
    from gesso.checkpoints.latent import LatentSpace
    from gesso.runtime import Runtime

__all__ = ["load_checkpoint"]

# Inputs that a U-Net may ask for and a prior has not.
INPUTS = ("addition_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim")


def load_checkpoint(card: ModelCard, runtime: Runtime) -> ForeignDenoiser:
    """The factory of folders in diffusers' format.

    Args:
        card: of :func:`gesso.checkpoints.card_of`.
        runtime: device and dtype; an autoencoder computes in float32 whatever the dtype.

    Raises:
        ModelError: damaged or missing weights, or a network that needs more than noise level
            and one fixed class or prompt.
    """
    checkpoint = read(card.folder)
    card.verify()
    _check(checkpoint)
    layout = _layout(checkpoint, runtime)
    network = _network(checkpoint.folder, checkpoint.unet, runtime, runtime.dtype)
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
    from gesso.checkpoints.latent import prompt_embedding
    from gesso.space import PIXELS

    config, condition = checkpoint.unet.config, dict[str, torch.Tensor]()
    label = _class_label(checkpoint)
    if label is not None:
        condition["class_labels"] = torch.tensor([label], device=runtime.device)
    if checkpoint.unet.kind == "UNet2DConditionModel":
        embedding = prompt_embedding(checkpoint).to(runtime.device, runtime.dtype)
        condition["encoder_hidden_states"] = embedding
    space = PIXELS if checkpoint.vae is None else _space(checkpoint, checkpoint.vae, runtime)
    factor = getattr(space, "factor", 1)
    # Every level but the last halves the size.
    grid = factor * 2 ** (len(config["block_out_channels"]) - 1)
    size = config.get("sample_size")
    side = min(size) if isinstance(size, list) else size
    tile = None if side is None else max(grid, side * factor // grid * grid)
    return Layout(grid, tile, space, runtime.dtype, condition)


def _space(checkpoint: Checkpoint, vae: Part, runtime: Runtime) -> LatentSpace:
    import torch

    from gesso.checkpoints.latent import LatentSpace

    config = vae.config
    for name in ("latents_mean", "latents_std"):
        if config.get(name) is not None:
            raise ModelError(f"{checkpoint.folder}: its vae states {name}, which gesso cannot use")
    network = _network(checkpoint.folder, vae, runtime, torch.float32)
    return LatentSpace(
        network,
        factor=2 ** (len(config["block_out_channels"]) - 1),
        channels=int(config.get("latent_channels", 4)),
        # Configs older than the key are Stable Diffusion's, for which it became the default.
        scale=float(config.get("scaling_factor", 0.18215)),
        shift=float(config.get("shift_factor") or 0.0),
    )


def _network(folder: Any, part: Part, runtime: Runtime, dtype: torch.dtype) -> nn.Module:
    """A network of diffusers', whole: no weight may be missing, left over or of another shape."""
    import diffusers
    import torch

    kind = getattr(diffusers, part.kind)
    known = set(inspect.signature(kind.__init__).parameters)
    # diffusers would pass over what it does not know, and compute something else.
    foreign = [n for n, v in part.config.items() if not n.startswith("_") and n not in known and v]
    if foreign:
        raise ModelError(
            f"{part.folder / 'config.json'} states {', '.join(foreign)}, which {part.kind} of "
            f"diffusers {diffusers.__version__} does not know; convert the model to one that "
            "diffusers' own release runs"
        )
    # Whatever a foreign loader raises, the folder does not fit it.
    try:
        network, report = kind.from_pretrained(
            part.folder,
            use_safetensors=True,
            local_files_only=True,
            variant=part.weights.variant,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:
        raise ModelError(
            f"the weights in {part.folder} do not fit their config.json: {error}"
        ) from error
    for fault in ("missing_keys", "unexpected_keys"):
        if report[fault]:
            some = ", ".join(sorted(report[fault])[:3])
            raise ModelError(
                f"the weights in {part.folder} do not fit their config.json: "
                f"{len(report[fault])} {fault.replace('_', ' ')}, such as {some}; "
                "download both anew"
            )
    # nn.Module's own: diffusers' to() warns about dtypes that are not mixed here.
    torch.nn.Module.to(network, runtime.device, dtype)
    torch.nn.Module.to(network, memory_format=torch.channels_last)
    return cast("nn.Module", network.eval().requires_grad_(False))


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
    return d.VPDenoiser(network, layout, signal, prediction, whole_steps=learned)
