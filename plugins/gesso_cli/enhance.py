"""`gesso enhance`: decoded pictures made natural again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import decode
from gesso_cli import options as o
from gesso_cli.console import answer_json, bar
from gesso_cli.each import each, picture_places
from gesso_cli.latent import Autoencoder, codec_of, decode_file, is_latent

if TYPE_CHECKING:
    from gesso.latent.codec import LatentCodec
    from gesso.options import EnhanceOptions
    from gesso.runtime import Runtime

__all__ = ["add", "enhance"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(enhance)


def enhance(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SRC", help="Picture files, as decoders know them.")
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="A file for one SRC, or a folder (PNG files).")
    ],
    preset: o.PresetOption = o.PresetName.fast,
    tradeoff: o.Tradeoff = 1.0,
    codec: Annotated[
        str | None, typer.Option(help="What coded the picture, where its file does not say.")
    ] = None,
    quality: Annotated[
        float | None, typer.Option(help="On the codec's scale, where the file does not say.")
    ] = None,
    model: o.Model = None,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    sigma: o.Sigma = None,
    steps: o.Steps = None,
    training_free: o.TrainingFree = False,
    faithful: o.Faithful = None,
    step_size: o.StepSize = None,
    sampler: o.SamplerOption = None,
    autoencoder: Autoencoder = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Make decoded pictures look natural again.

    How strong the noise may be is told by the file: a JPEG's quantisation tables, the rate
    of a WebP or AVIF, the traces that a JPEG left in a PNG. EXIF, ICC profile, XMP and alpha
    are kept; an orientation tag stays a tag. A .gsl file is decoded and repaired, as far as
    --tradeoff says and by the prior that --model names; gesso decode has the repair's options.
    """
    from gesso.cards import get_model

    runtime = o.runtime_of(device, dtype, tile)
    settings = o.enhance_options(
        model, preset, tradeoff, seed, sigma, steps, training_free, faithful, step_size, sampler
    )
    table: Mapping[str, Any] = get_model(None, "prior").settings.get("noise", {})
    job = _Job(settings, runtime, codec, quality, table)
    # What says how a picture was coded, or is of the noise that is added to it.
    foreign = {"--codec": codec, "--quality": quality, "--sigma": sigma, "--faithful": faithful}
    foreign |= {"--step-size": step_size, "--sampler": sampler, "--seed": seed or None}
    foreign |= {"--training-free": training_free or None}
    foreign |= {"--preset": None if preset is o.PresetName.fast else preset}
    odd = [name for name, value in foreign.items() if value is not None]

    def work(source: Path, place: Path) -> dict[str, Any]:
        if is_latent(source):
            codec = _latent(odd, tradeoff > 0, steps, model, autoencoder, runtime)
            return decode_file(source, place, codec, prior="model", share=tradeoff)
        if autoencoder is not None:
            raise InputError(f"{source} is no .gsl, which --autoencoder is for; leave it out")
        return job.run(source, place)

    pairs = list(zip(sources, picture_places(sources, out), strict=True))
    results = each(pairs, work, overwrite, None if json else _told)
    if json:
        told = {"model": settings.model, "preset": preset.value, "seed": seed}
        answer_json({**told, "pictures": results})
    if any("error" in result for result in results):
        raise typer.Exit(1)


def _told(result: Mapping[str, Any]) -> str:
    if "repaired" in result:
        return decode.told(result)
    if result["sigma"] is not None:
        return f"sigma {result['sigma']:g}"
    if result["codec"] is None:
        return "unchanged"
    return f"{result['codec']} quality {result['quality']:.3g}"


def _latent(
    odd: list[str],
    repaired: bool,
    steps: int | None,
    model: str | None,
    autoencoder: str | None,
    runtime: Runtime,
) -> LatentCodec:
    """What decodes and repairs a ``.gsl``; ``odd`` are options given that do not apply to it."""
    from gesso.latent.repair import RepairOptions

    if odd:
        raise InputError(
            f"{', '.join(odd)} does not apply to the repair of a .gsl; leave it out, or see "
            "gesso decode --help"
        )
    wish = RepairOptions(steps=steps) if repaired else None
    return codec_of(autoencoder, runtime, repair=wish, prior=model)


class _Job:
    """The settings that all pictures of one command share."""

    def __init__(
        self,
        options: EnhanceOptions,
        runtime: Runtime,
        codec: str | None,
        quality: float | None,
        table: Mapping[str, Any],
    ) -> None:
        self.options, self.runtime, self.table = options, runtime, table
        self.codec, self.quality = codec, quality

    def run(self, source: Path, path: Path) -> dict[str, Any]:
        """Enhance one file into another; what is known of it, for people and machines."""
        from dataclasses import replace

        from gesso.files import replacing
        from gesso_cli.reading import read_photo, target_of_file
        from gesso_cli.writing import save
        from gesso_hooks import after_decode

        began = time.monotonic()
        photo = read_photo(source)
        options = self.options
        told = options.sigma is not None and not options.faithful
        coded = None
        if options.tradeoff > 0 and not told:
            coded = target_of_file(photo, self.codec, self.quality, self.table, options)
        # Opened before the work, so that a place that cannot be written is found at once.
        with replacing(path) as temporary, bar(source.name) as tick:
            runtime = replace(self.runtime, progress=tick)
            frame = after_decode(photo.frame, coded, options, runtime)
            save(frame.restore(), temporary, photo.metadata, path)
        return {
            "output": str(path),
            "codec": coded.codec if coded else None,
            "quality": coded.quality if coded else None,
            "sigma": options.sigma,
            "width": photo.frame.width,
            "height": photo.frame.height,
            "seconds": round(time.monotonic() - began, 3),
        }
