"""Options that the training commands share: the recipe, the network, the card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "About",
    "Adversarial",
    "Batch",
    "Blocks",
    "Channels",
    "Cooldown",
    "Crop",
    "Data",
    "DecoderBlockOutChannels",
    "Dists",
    "DryRun",
    "Ema",
    "Embedding",
    "EncoderBlockOutChannels",
    "Every",
    "Heads",
    "LearningRate",
    "Licence",
    "Lpips",
    "Name",
    "NumDecoderBlocks",
    "NumEncoderBlocks",
    "Out",
    "PMean",
    "PStd",
    "Seed",
    "Start",
    "Steps",
    "Val",
    "Warmup",
    "Window",
]

NET, RECIPE, CARD = "The network", "The recipe", "The card"

Data = Annotated[Path, typer.Argument(metavar="DATA", help="Folder of pictures.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="For checkpoints, log and the finished model.")
]
Val = Annotated[Path | None, typer.Option(help="Held-out pictures that choose the best weights.")]
Start = Annotated[Path | None, typer.Option("--from", help="Folder of a model to begin with.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Go through it all in small, and say how long it takes.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps.", rich_help_panel=RECIPE)]
Batch = Annotated[
    int | None, typer.Option(min=1, help="Pictures per step.", rich_help_panel=RECIPE)
]
Crop = Annotated[
    int | None, typer.Option(min=8, help="Their side in pixels.", rich_help_panel=RECIPE)
]
LearningRate = Annotated[float | None, typer.Option("--lr", min=0.0, rich_help_panel=RECIPE)]
Warmup = Annotated[
    int | None, typer.Option(min=0, help="Steps in which lr rises.", rich_help_panel=RECIPE)
]
Cooldown = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Share of steps in which lr falls.", rich_help_panel=RECIPE
    ),
]
Ema = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=0.999999, help="Decay of the averaged weights.", rich_help_panel=RECIPE
    ),
]
Every = Annotated[
    int | None, typer.Option(min=1, help="Steps between checkpoints.", rich_help_panel=RECIPE)
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**63 - 1, help="Of weights, crops and noise.", rich_help_panel=RECIPE),
]
Lpips = Annotated[
    float | None, typer.Option(min=0.0, help="Weight of LPIPS.", rich_help_panel=RECIPE)
]
Dists = Annotated[
    float | None, typer.Option("--dists", min=0.0, help="Weight of DISTS.", rich_help_panel=RECIPE)
]
Adversarial = Annotated[
    float | None,
    typer.Option(min=0.0, help="The adversary's share of the slope.", rich_help_panel=RECIPE),
]
Enlarged = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Share of the pictures that are enlarged by 1.2 to 2.5 before they are coded.",
        rich_help_panel=RECIPE,
    ),
]
PMean = Annotated[
    float | None,
    typer.Option("--p_mean", help="Mean of ln(sigma), lognormal.", rich_help_panel=RECIPE),
]
PStd = Annotated[
    float | None,
    typer.Option("--p_std", min=0.0, help="Its standard deviation.", rich_help_panel=RECIPE),
]
Channels = Annotated[
    str | None, typer.Option(help="Widths, finest first, as 48,96,192,256.", rich_help_panel=NET)
]
Blocks = Annotated[
    int | None, typer.Option(min=1, help="Blocks per resolution.", rich_help_panel=NET)
]
Heads = Annotated[
    int | None, typer.Option(min=0, help="Of attention; 0 leaves it out.", rich_help_panel=NET)
]
Window = Annotated[
    int | None, typer.Option(min=1, help="Of attention, in coarsest pixels.", rich_help_panel=NET)
]
Embedding = Annotated[
    int | None, typer.Option(min=1, help="Width of the noise-level embedding.", rich_help_panel=NET)
]
Name = Annotated[
    str | None, typer.Option(help="Of the model; else that of --out.", rich_help_panel=CARD)
]
Licence = Annotated[str | None, typer.Option(help="Of the weights.", rich_help_panel=CARD)]
About = Annotated[str | None, typer.Option(help="What the data are.", rich_help_panel=CARD)]

# Arguments of diffusers' AutoencoderTiny, under their own names.
EncoderBlockOutChannels = Annotated[
    str | None,
    typer.Option(
        "--encoder_block_out_channels",
        help="Widths of the encoder's stages, as 48,48,48,48.",
        rich_help_panel=NET,
    ),
]
DecoderBlockOutChannels = Annotated[
    str | None,
    typer.Option(
        "--decoder_block_out_channels",
        help="Widths of the decoder's stages.",
        rich_help_panel=NET,
    ),
]
NumEncoderBlocks = Annotated[
    str | None,
    typer.Option(
        "--num_encoder_blocks",
        help="Residual blocks of the encoder's stages, as 0,2,2,2.",
        rich_help_panel=NET,
    ),
]
NumDecoderBlocks = Annotated[
    str | None,
    typer.Option(
        "--num_decoder_blocks",
        help="Residual blocks of the decoder's stages.",
        rich_help_panel=NET,
    ),
]
