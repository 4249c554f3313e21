"""ControlNets in diffusers' format: a picture that a Stable Diffusion's estimates lean on."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from gesso.checkpoints.denoisers import ForeignDenoiser
from gesso.checkpoints.folder import Part, class_of, classes_of, read_part
from gesso.checkpoints.hub import fetch, is_hub_name
from gesso.checkpoints.latent import LatentSpace
from gesso.checkpoints.network import build
from gesso.errors import InputError, ModelError

if TYPE_CHECKING:
    from gesso.runtime import Runtime

__all__ = ["ControlNet", "load_controlnet"]

KIND = "ControlNetModel"
# What it must share with its U-Net: the shapes of what goes in, and of what it adds.
SHARED = ("in_channels", "cross_attention_dim", "block_out_channels", "layers_per_block")
# Conditions that gesso has not.
INPUTS = ("addition_embed_type", "encoder_hid_dim_type", "class_embed_type", "num_class_embeds")


class ControlNet:
    """A ``ControlNetModel`` (Zhang et al. 2023) and the latent checkpoint that it fits.

    Args:
        network: on the denoiser's device, in its dtype.
        denoiser: of a Stable Diffusion folder.

    Raises:
        ModelError: the two do not fit each other; the message says in what.
    """

    def __init__(self, network: nn.Module, denoiser: ForeignDenoiser) -> None:
        _check(cast(Any, network).config, denoiser)
        self.network, self.denoiser = network, denoiser

    def steer(self, condition: Tensor, weight: float) -> ForeignDenoiser:
        """The denoiser, leaning on a picture; at weight 0 the plain one.

        Args:
            condition: (1, 3, H, W) for any number of latents, or (B, 3, H, W) for B of them, on
                [0, 1]; of the size that the latents' pictures have.
            weight: diffusers' ``controlnet_conditioning_scale``.

        Raises:
            InputError: another shape.
        """
        if weight == 0:
            return self.denoiser
        if condition.ndim != 4 or condition.shape[1] != 3:
            raise InputError(f"the condition is {tuple(condition.shape)}; give (B, 3, H, W)")
        steered = copy(self.denoiser)
        seen = condition.to(self.denoiser.device, self.denoiser.layout.dtype)

        def control(x: Tensor, timestep: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
            down, middle = cast(Any, self.network)(
                x,
                timestep,
                encoder_hidden_states=inputs["encoder_hidden_states"],
                controlnet_cond=seen.expand(len(x), -1, -1, -1),
                conditioning_scale=weight,
                return_dict=False,
            )
            return {
                "down_block_additional_residuals": down,
                "mid_block_additional_residual": middle,
            }

        steered.control = control
        return steered


def load_controlnet(name: str | Path, denoiser: object, runtime: Runtime) -> ControlNet:
    """The ControlNet of a folder, for a latent checkpoint.

    Args:
        name: a folder with a ``ControlNetModel``, one of a ``StableDiffusionControlNetPipeline``,
            or ``hf:owner/name``.
        denoiser: of :func:`gesso.checkpoints.load_checkpoint`.
        runtime: device and dtype; those that the denoiser was loaded with.

    Raises:
        ModelError: no ControlNet there, or none that fits the denoiser.
    """
    if not isinstance(denoiser, ForeignDenoiser):
        raise ModelError("a ControlNet wants a Stable Diffusion folder as its prior; pass one")
    part = _read(fetch(str(name)) if is_hub_name(str(name)) else Path(name).expanduser())
    network = build(part, runtime, denoiser.layout.dtype)
    return ControlNet(runtime.prepare(network), denoiser)


def _read(folder: Path) -> Part:
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}; pass one that holds a {KIND}")
    index = classes_of(folder)
    if index is not None:
        if index.get("controlnet") != KIND or not (folder / "controlnet").is_dir():
            raise ModelError(
                f"{folder} has no single {KIND} (controlnet: {index.get('controlnet')}); pass the "
                "folder of one"
            )
        return read_part(folder / "controlnet", KIND)
    if class_of(folder) != KIND:
        raise ModelError(f"{folder} holds a {class_of(folder)}; pass the folder of a {KIND}")
    return read_part(folder)


def _check(config: Any, denoiser: ForeignDenoiser) -> None:
    name = config.get("_name_or_path") or "the ControlNet"
    space, condition = denoiser.space, denoiser.layout.condition
    if not isinstance(space, LatentSpace) or "encoder_hidden_states" not in condition:
        raise ModelError(f"{name} wants a Stable Diffusion as its prior; pass such a folder")
    unet = cast(Any, denoiser.network).config
    for key in SHARED:
        mine, its = (_plain(c.get(key)) for c in (config, unet))
        if mine != its:
            raise ModelError(
                f"{name} has {key} {mine}, its prior {its}; use a ControlNet that was trained "
                "with this model"
            )
    if config.conditioning_channels != 3:
        raise ModelError(
            f"{name} looks at {config.conditioning_channels} channels, edges are a picture of 3; "
            "use a Canny ControlNet"
        )
    asked = [key for key in INPUTS if config.get(key) is not None]
    if asked or config.global_pool_conditions:
        odd = asked[0] if asked else "global_pool_conditions"
        raise ModelError(f"{name} states {odd}, which edges alone cannot serve; use a Canny one")
    smaller = 2 ** (len(config.conditioning_embedding_out_channels) - 1)
    if smaller != space.factor:
        raise ModelError(
            f"{name} makes its condition {smaller} times smaller, the autoencoder pictures "
            f"{space.factor} times; use a ControlNet that was trained with this model"
        )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
