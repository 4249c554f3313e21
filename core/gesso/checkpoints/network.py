"""One network of a checkpoint, built by diffusers from safetensors and nothing else."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, cast

from gesso.checkpoints.folder import Part
from gesso.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gesso.runtime import Runtime

__all__ = ["build"]

# What a class writes into its config beside its own arguments, and repeats them with.
WRITTEN = {"AutoencoderTiny": {"block_out_channels"}}


def build(part: Part, runtime: Runtime, dtype: torch.dtype) -> nn.Module:
    """A network of diffusers', whole: no weight may be missing, left over or of another shape.

    Args:
        part: its config and weights.
        runtime: where it goes.
        dtype: of its weights.

    Raises:
        ModelError: config and weights do not fit each other, or this diffusers.
    """
    import diffusers
    import torch

    kind = getattr(diffusers, part.kind)
    known = set(inspect.signature(kind.__init__).parameters) | WRITTEN.get(part.kind, set())
    # diffusers would pass over what it does not know, and compute something else.
    foreign = [n for n, v in part.config.items() if not n.startswith("_") and n not in known and v]
    if foreign:
        raise ModelError(
            f"{part.folder / 'config.json'} states {', '.join(foreign)}, which {part.kind} of "
            f"diffusers {diffusers.__version__} does not know; convert the model to one that "
            "diffusers' own release runs"
        )
    # It would warn of what is allowed above.
    speaker = logging.getLogger("diffusers.configuration_utils")
    level = speaker.level
    speaker.setLevel(logging.ERROR)
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
    finally:
        speaker.setLevel(level)
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
