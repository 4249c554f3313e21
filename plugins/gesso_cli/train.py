"""`gesso train`: models, each by a sub-command, from a folder of pictures."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli import recipe as r

__all__ = [
    "add",
    "autoencoder",
    "consistency",
    "distill",
    "posterior_mean",
    "preprocess",
    "prior",
]

Codecs = Annotated[
    str | None,
    typer.Option(
        help="What codes the pictures; one that is named twice is drawn twice as often.",
        rich_help_panel=r.RECIPE,
    ),
]
# What a command was called with, apart from its recipe.
NETWORK = (
    "blocks", "heads", "window", "embedding", "channels", "encoder_block_out_channels",
    "decoder_block_out_channels", "num_encoder_blocks", "num_decoder_blocks",
)  # fmt: skip
LISTS = ("channels", *NETWORK[-4:])
WHERE = ("data", "out", "val", "start", "dry_run", "json", "device")


class Space(StrEnum):
    """Where a prior denoises."""

    pixel = "pixel"
    latent = "latent"


def add(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    group = typer.Typer(
        help="Train models on a folder of pictures.",
        context_settings={"help_option_names": ["-h", "--help"]},
        invoke_without_command=True,
    )
    group.callback()(_root)
    for command in (prior, posterior_mean, consistency, distill, preprocess, autoencoder):
        group.command()(command)
    app.add_typer(group, name="train")


def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def prior(
    data: r.Data,
    out: r.Out,
    val: r.Val = None,
    start: r.Start = None,
    space: Annotated[
        Space, typer.Option(help="Of pictures, or of an autoencoder's latents.")
    ] = Space.pixel,
    autoencoder: Annotated[
        str | None, typer.Option(help="Name or folder of the autoencoder of --space latent.")
    ] = None,
    dry_run: r.DryRun = False,
    steps: r.Steps = None,
    batch: r.Batch = None,
    crop: r.Crop = None,
    lr: r.LearningRate = None,
    warmup: r.Warmup = None,
    cooldown: r.Cooldown = None,
    ema: r.Ema = None,
    every: r.Every = None,
    seed: r.Seed = None,
    channels: r.Channels = None,
    blocks: r.Blocks = None,
    heads: r.Heads = None,
    window: r.Window = None,
    embedding: r.Embedding = None,
    name: r.Name = None,
    licence: r.Licence = None,
    about: r.About = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Train an unconditional diffusion prior, or go on where --out left off.

    What is not given comes from the checkpoint in --out, else from the defaults. Ctrl-C
    writes a checkpoint first. The model is written to OUT/model, in diffusers' format, with
    its card; gesso calibrate then fits what the card must know of codecs.
    """
    given = locals()
    latent = given["space"] == Space.latent
    if not latent and autoencoder is not None:
        raise InputError("--autoencoder is for --space latent; add that, or leave it out")
    del given["space"]
    _run("latent-prior" if latent else "prior", given)


def posterior_mean(
    data: r.Data,
    out: r.Out,
    val: r.Val = None,
    start: r.Start = None,
    codecs: Codecs = None,
    enlarged: r.Enlarged = None,
    dry_run: r.DryRun = False,
    steps: r.Steps = None,
    batch: r.Batch = None,
    crop: r.Crop = None,
    lr: r.LearningRate = None,
    warmup: r.Warmup = None,
    cooldown: r.Cooldown = None,
    ema: r.Ema = None,
    every: r.Every = None,
    seed: r.Seed = None,
    channels: r.Channels = None,
    blocks: r.Blocks = None,
    heads: r.Heads = None,
    window: r.Window = None,
    embedding: r.Embedding = None,
    name: r.Name = None,
    licence: r.Licence = None,
    about: r.About = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Train what estimates the source of a decoded picture, by codec and rate.

    Pictures are coded by the real codecs as they are drawn. --from a prior is a good
    beginning: the decode takes the place of the noisy picture. Otherwise as train prior.
    """
    given = locals()
    given["codecs"] = tuple(o.names(codecs)) if codecs is not None else None
    _run("posterior-mean", given)


def consistency(
    data: r.Data,
    out: r.Out,
    val: r.Val = None,
    start: r.Start = None,
    stages: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Halvings of the distance between paired noise levels.",
            rich_help_panel=r.RECIPE,
        ),
    ] = None,
    lpips: r.Lpips = None,
    dists: r.Dists = None,
    adversarial: r.Adversarial = None,
    restored: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of a batch that begins from the teacher's estimates.",
            rich_help_panel=r.RECIPE,
        ),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Prior that makes those.", rich_help_panel=r.RECIPE)
    ] = None,
    decoded: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of a batch that begins from estimates of real decodes.",
            rich_help_panel=r.RECIPE,
        ),
    ] = None,
    estimator: Annotated[
        str | None, typer.Option(help="What makes those.", rich_help_panel=r.RECIPE)
    ] = None,
    codecs: Codecs = None,
    enlarged: r.Enlarged = None,
    p_mean: r.PMean = None,
    p_std: r.PStd = None,
    dry_run: r.DryRun = False,
    steps: r.Steps = None,
    batch: r.Batch = None,
    crop: r.Crop = None,
    lr: r.LearningRate = None,
    warmup: r.Warmup = None,
    cooldown: r.Cooldown = None,
    ema: r.Ema = None,
    every: r.Every = None,
    seed: r.Seed = None,
    channels: r.Channels = None,
    blocks: r.Blocks = None,
    heads: r.Heads = None,
    window: r.Window = None,
    embedding: r.Embedding = None,
    name: r.Name = None,
    licence: r.Licence = None,
    about: r.About = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Tune a prior into a consistency model, which needs one evaluation (Song et al. 2023).

    --from names the prior, or what this command wrote. Otherwise as train prior.
    """
    given = locals()
    given["codecs"] = tuple(o.names(codecs)) if codecs is not None else None
    _run("consistency", given)


def distill(
    data: r.Data,
    out: r.Out,
    val: r.Val = None,
    start: r.Start = None,
    codecs: Codecs = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Prior whose score is distilled.", rich_help_panel=r.RECIPE),
    ] = None,
    xi: Annotated[
        float | None,
        typer.Option(min=0.0, help="Weight of the score difference.", rich_help_panel=r.RECIPE),
    ] = None,
    fake_lr: Annotated[
        float | None,
        typer.Option("--fake_lr", min=0.0, help="lr of the fake score.", rich_help_panel=r.RECIPE),
    ] = None,
    dry_run: r.DryRun = False,
    steps: r.Steps = None,
    batch: r.Batch = None,
    crop: r.Crop = None,
    lr: r.LearningRate = None,
    warmup: r.Warmup = None,
    cooldown: r.Cooldown = None,
    ema: r.Ema = None,
    every: r.Every = None,
    seed: r.Seed = None,
    name: r.Name = None,
    licence: r.Licence = None,
    about: r.About = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Distil a prior into a one-step generator of pictures to be coded (CiD; GenDR 2025).

    The first stage of a preprocessor; train preprocess is the second. --from names a
    consistency model or a Stable Diffusion folder, whose attention alone is trained.
    Otherwise as train prior.
    """
    given = locals()
    given["codecs"] = tuple(o.names(codecs)) if codecs is not None else None
    _run("distill", given)


def preprocess(
    data: r.Data,
    out: r.Out,
    val: r.Val = None,
    start: r.Start = None,
    codecs: Codecs = None,
    l1: Annotated[
        float | None,
        typer.Option(min=0.0, help="Weight of the mean absolute error.", rich_help_panel=r.RECIPE),
    ] = None,
    fidelity: Annotated[
        float | None,
        typer.Option(min=0.0, help="Weight of SSIMULACRA 2.", rich_help_panel=r.RECIPE),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Factor on the measured price of a bit.", rich_help_panel=r.RECIPE
        ),
    ] = None,
    anneal: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the steps over which the rate's weight rises.",
            rich_help_panel=r.RECIPE,
        ),
    ] = None,
    dry_run: r.DryRun = False,
    steps: r.Steps = None,
    batch: r.Batch = None,
    crop: r.Crop = None,
    lr: r.LearningRate = None,
    warmup: r.Warmup = None,
    cooldown: r.Cooldown = None,
    ema: r.Ema = None,
    every: r.Every = None,
    seed: r.Seed = None,
    name: r.Name = None,
    licence: r.Licence = None,
    about: r.About = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Tune a preprocessor for rate and perception, through differentiable codecs.

    --from names what train distill wrote, or what that begins from. Attention alone is trained,
    and written; the rest is looked up in the model it began from. Otherwise as train prior.
    """
    given = locals()
    given["codecs"] = tuple(o.names(codecs)) if codecs is not None else None
    _run("preprocess", given)


def autoencoder(
    data: r.Data,
    out: r.Out,
    val: r.Val = None,
    start: r.Start = None,
    palettes: Annotated[
        str | None,
        typer.Option(help="Sizes that are learned, as 16,64,256.", rich_help_panel=r.RECIPE),
    ] = None,
    lpips: r.Lpips = None,
    dists: r.Dists = None,
    adversarial: r.Adversarial = None,
    adversary_from: Annotated[
        float | None,
        typer.Option(
            "--adversary_from",
            min=0.0,
            max=1.0,
            help="Share of the steps after which it is heard.",
            rich_help_panel=r.RECIPE,
        ),
    ] = None,
    frozen: Annotated[
        str | None,
        typer.Option(help="encoder: train the decoder alone.", rich_help_panel=r.RECIPE),
    ] = None,
    dry_run: r.DryRun = False,
    steps: r.Steps = None,
    batch: r.Batch = None,
    crop: r.Crop = None,
    lr: r.LearningRate = None,
    warmup: r.Warmup = None,
    cooldown: r.Cooldown = None,
    ema: r.Ema = None,
    every: r.Every = None,
    seed: r.Seed = None,
    encoder_block_out_channels: r.EncoderBlockOutChannels = None,
    decoder_block_out_channels: r.DecoderBlockOutChannels = None,
    num_encoder_blocks: r.NumEncoderBlocks = None,
    num_decoder_blocks: r.NumDecoderBlocks = None,
    name: r.Name = None,
    licence: r.Licence = None,
    about: r.About = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Train the latent codec's autoencoder and the palettes of its latents.

    Its shape is diffusers' AutoencoderTiny, by default TAESD's. --from goes on from finished
    weights. Otherwise as train prior.
    """
    given = locals()
    given["palettes"] = tuple(o.numbers(palettes, int)) if palettes is not None else None
    _run("autoencoder", given)


def _run(kind: str, given: dict[str, Any]) -> None:
    from gesso_cli.rehearsal import rehearse
    from gesso_cli.training import configure, train, trainer_of

    network = {key: given.get(key) for key in NETWORK}
    for key in LISTS:
        if (listed := network[key]) is not None:
            network[key] = o.numbers(listed, int)
    recipe = {key: value for key, value in given.items() if key not in (*NETWORK, *WHERE)}
    start = given["start"]
    places = (given["data"], given["out"], given["val"], start)
    kind_of = trainer_of(kind)
    config = configure(kind_of, *places, recipe, network)
    runtime = o.runtime_of(given["device"], "auto", 1024)
    work = rehearse if given["dry_run"] else train
    work(kind_of, config, runtime, start, given["json"])
