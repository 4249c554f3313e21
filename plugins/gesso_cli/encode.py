"""`gesso encode`: pictures prepared for a codec, and coded with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer_json, bar
from gesso_cli.each import each, folder_for
from gesso_cli.latent import LATENT, Autoencoder, Dither, Palette, Refine, codec_of, encode_file

if TYPE_CHECKING:
    from gesso.latent.codec import LatentCodec
    from gesso.options import PreprocessOptions
    from gesso.runtime import Runtime
    from gesso.target import Target

__all__ = ["add", "encode"]

SUFFIXES = {"jpeg": ".jpg", "webp": ".webp", "avif": ".avif", LATENT: ".gsl"}
# Fields of PreprocessOptions as the command has them.
FLAGS = {
    "model": "--model",
    "strength": "--strength",
    "guard": "--no-guard",
    "seed": "--seed",
    "effort": "--effort",
    "steps": "--effort-steps",
    "seconds": "--seconds",
}


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(encode)


def encode(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC", help="Picture files.")],
    out: Annotated[str, typer.Option("--out", "-o", help="A file for one SRC, or a folder.")],
    quality: Annotated[float, typer.Option("--quality", "-q", help="On the codec's scale.")],
    codec: Annotated[
        str | None,
        typer.Option(
            help="jpeg, webp, avif or latent; told by the suffix of a file, jpeg in a folder."
        ),
    ] = None,
    effort: o.Effort = None,
    effort_steps: o.EffortSteps = None,
    seconds: o.Seconds = None,
    strength: o.Strength = 1.0,
    guard: o.Guard = True,
    model: o.Model = None,
    seed: o.Seed = 0,
    palette: Palette = None,
    dither: Dither = None,
    refine: Refine = None,
    autoencoder: Autoencoder = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Prepare pictures for a codec and write ordinary files of it.

    EXIF, ICC profile and XMP are kept; an orientation tag stays a tag. The file is Pillow's at
    that quality: any decoder opens it.

    A .gsl file is of gesso's latent codec: pixels alone, of the picture as it is; --quality is
    the palette's entries, 16 to 256.
    """
    from gesso.target import Target

    runtime = o.runtime_of(device, dtype, tile)
    options = o.preprocess_options(model, strength, guard, seed, effort, effort_steps, seconds)
    name, places = _places(sources, out, codec)
    target = Target(name, quality)

    latent = _latent(name, options, runtime, palette, dither, refine, autoencoder)

    def work(source: Path, place: Path) -> dict[str, Any]:
        if latent is not None:
            return encode_file(source, place, latent, quality)
        return _encode(source, place, target, options, runtime)

    pairs = list(zip(sources, places, strict=True))
    results = each(pairs, work, overwrite, None if json else _told)
    if json:
        told: dict[str, Any] = {"autoencoder": autoencoder}
        if latent is None:
            told = {"model": options.model, "effort": options.effort or "auto"}
        answer_json({**told, "quality": quality, "pictures": results})
    if any("error" in result for result in results):
        raise typer.Exit(1)


def _latent(
    name: str,
    options: PreprocessOptions,
    runtime: Runtime,
    palette: str | None,
    dither: float | None,
    refine: int | None,
    autoencoder: str | None,
) -> LatentCodec | None:
    """The latent codec, where it is asked for; raises InputError for what does not apply."""
    if name != LATENT:
        given: dict[str, Any] = {"--palette": palette, "--dither": dither}
        given |= {"--refine": refine, "--autoencoder": autoencoder}
        if odd := [flag for flag, value in given.items() if value is not None]:
            raise InputError(f"{', '.join(odd)} is for .gsl, not for {name}; leave it out")
        return None
    usual = type(options)()
    if odd := [FLAGS[key] for key in FLAGS if getattr(options, key) != getattr(usual, key)]:
        raise InputError(
            f"{', '.join(odd)} does not apply: nothing is prepared for a .gsl; leave it out"
        )
    return codec_of(autoencoder, runtime, palette=palette, dither=dither, refine=refine)


def _told(result: dict[str, Any]) -> str:
    return f"{result['codec']} quality {result['quality']:g}, {result['bytes']} bytes"


def _encode(
    source: Path, place: Path, target: Target, options: PreprocessOptions, runtime: Runtime
) -> dict[str, Any]:
    from dataclasses import replace

    from gesso.files import replacing
    from gesso_cli.reading import read_photo
    from gesso_cli.writing import save
    from gesso_hooks import before_encode

    began = time.monotonic()
    photo = read_photo(source)
    with replacing(place) as temporary, bar(source.name) as tick:
        frame = before_encode(photo.frame, target, options, replace(runtime, progress=tick))
        save(frame.restore(), temporary, photo.metadata, place, round(target.quality))
        size = temporary.stat().st_size
    return {
        "output": str(place),
        "codec": target.codec,
        "quality": target.quality,
        "bytes": size,
        "width": photo.frame.width,
        "height": photo.frame.height,
        "seconds": round(time.monotonic() - began, 3),
    }


def _places(sources: list[Path], out: str, codec: str | None) -> tuple[str, list[Path]]:
    """The codec, and where each file goes."""
    if codec is not None and codec not in SUFFIXES:
        raise InputError(f"cannot write files of {codec}; --codec is one of {', '.join(SUFFIXES)}")
    folder = folder_for(sources, out)
    if folder is None:
        return _codec_of(Path(out), codec), [Path(out)]
    name = codec or "jpeg"
    return name, [folder / f"{source.stem}{SUFFIXES[name]}" for source in sources]


def _codec_of(place: Path, codec: str | None) -> str:
    found = {**{suffix: name for name, suffix in SUFFIXES.items()}, ".jpeg": "jpeg"}
    name = found.get(place.suffix.lower())
    if name is None:
        raise InputError(
            f"{place} would be lossless or unknown, and there is nothing to prepare it for; "
            f"end it in {', '.join(found)}"
        )
    if codec not in (None, name):
        raise InputError(f"{place} is a name for {name}, not for {codec}; change one of them")
    return name
