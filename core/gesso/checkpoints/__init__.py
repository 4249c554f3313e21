"""Public checkpoints: folders in diffusers' format as priors.

``model=`` takes the folder of a download wherever it takes a name:

- pixel models: a ``UNet2DModel`` and the config of its scheduler. EDM preconditioning,
  variance-preserving (DDPM, ADM with its learned variance) or consistency models.
- latent models: an ``AutoencoderKL`` or ``AutoencoderTiny`` beside a ``UNet2DModel`` or a
  ``UNet2DConditionModel`` with its text encoder, or with one embedding in
  ``prompt_embeds.safetensors``.

An autoencoder may also be alone in its folder; see :mod:`gesso.autoencoder`. So may a
``ControlNetModel``, or it lies in a pipeline's; see :mod:`gesso.checkpoints.controlnet`.

Only safetensors are read, and nothing is fetched: ``hf:owner/name`` alone asks the Hugging
Face hub, and only for the files that are needed. A file ``gesso.json`` in the folder may say
what the format does not, see :class:`gesso.checkpoints.folder.Wishes`.
"""

from __future__ import annotations

from gesso.checkpoints.card import CheckpointCard, card_of
from gesso.checkpoints.loading import load_checkpoint

__all__ = ["CheckpointCard", "card_of", "load_checkpoint"]
