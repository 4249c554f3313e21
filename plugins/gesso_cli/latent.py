"""``.gsl`` files and the command: what is asked of the latent codec, and files there and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from gesso.errors import InputError, ModelError
from gesso_cli import options as o
from gesso_cli.console import bar, say

if TYPE_CHECKING:
    from gesso.latent.codec import LatentCodec, PaletteKind
    from gesso.latent.repair import RepairOptions
    from gesso.latent.stream import Header
    from gesso.runtime import Runtime

__all__ = [
    "LATENT",
    "REPAIR",
    "Autoencoder",
    "ControlNet",
    "Dither",
    "Palette",
    "Prior",
    "Refine",
    "codec_of",
    "decode_file",
    "encode_file",
    "is_latent",
]

LATENT = "latent"
GSL, REPAIR = "The latent codec (.gsl)", "The repair"

Autoencoder = Annotated[
    str | None,
    typer.Option(
        help="Name of an autoencoder (see gesso models), or its folder.", rich_help_panel=GSL
    ),
]
Palette = Annotated[
    str | None,
    typer.Option(
        help="shared, the autoencoder's own, if not given; or kmeans or imagequant, fitted to each "
        "picture.",
        rich_help_panel=GSL,
    ),
]
Dither = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Share of the palette's error passed on.", rich_help_panel=GSL
    ),
]

Refine = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=1000,
        help="Steps of a descent that improves each picture's latents.",
        rich_help_panel=GSL,
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(
        help="Of the latents of that autoencoder, by name or folder.", rich_help_panel=REPAIR
    ),
]
ControlNet = Annotated[
    str | None,
    typer.Option(help="Folder of a Canny ControlNet of that prior.", rich_help_panel=REPAIR),
]


def codec_of(
    autoencoder: str | None,
    runtime: Runtime,
    *,
    palette: str | None = None,
    dither: float | None = None,
    refine: int | None = None,
    repair: RepairOptions | None = None,
    prior: str | None = None,
    controlnet: str | None = None,
) -> LatentCodec:
    """The codec that these options ask for.

    Raises:
        ModelError: no such autoencoder or prior.
    """
    from gesso.latent.codec import LatentCodec

    return LatentCodec(
        model=o.known_model(autoencoder, "autoencoder") if autoencoder else None,
        palette=cast("PaletteKind", palette or "shared"),
        dither=dither or 0.0,
        refine=refine or 0,
        repair=repair,
        prior=o.known_model(prior) if prior else None,
        runtime=runtime,
        controlnet=controlnet,
    )


def is_latent(path: Path) -> bool:
    """Whether a file begins as a ``.gsl`` does; False where it cannot be read."""
    from gesso.latent.stream import MAGIC

    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def encode_file(source: Path, place: Path, codec: LatentCodec, quality: float) -> dict[str, Any]:
    """Code a picture file; what is known of the result, for people and machines.

    Raises:
        InputError: a file that is no picture, or one with transparency or of 16 bits.
    """
    from dataclasses import replace

    from PIL import Image

    from gesso.files import replacing
    from gesso_cli.reading import read_photo

    began = time.monotonic()
    photo = read_photo(source)
    picture: Any = photo.frame.restore()
    if not isinstance(picture, Image.Image):
        raise InputError(f"{source} has 16 bits per channel, a {codec.extension} 8; convert it")
    with replacing(place) as temporary, bar(source.name) as tick:
        told = replace(codec, runtime=replace(codec.runtime, progress=tick))
        temporary.write_bytes(told.encode(picture, quality))
        size = temporary.stat().st_size
    metadata = photo.metadata
    had = {"EXIF": metadata.exif, "ICC profile": metadata.icc, "XMP": metadata.xmp}
    if lost := [name for name, content in had.items() if content]:
        say(f"{place} holds pixels alone: {', '.join(lost)} of {source} left out")
    return {
        "output": str(place),
        "codec": codec.name,
        "quality": quality,
        "bytes": size,
        "width": picture.width,
        "height": picture.height,
        "seconds": round(time.monotonic() - began, 3),
    }


def decode_file(
    source: Path, place: Path, codec: LatentCodec, prior: str = "prior", share: float = 1.0
) -> dict[str, Any]:
    """Decode a ``.gsl`` into a picture file, and repair it where the codec says so.

    Args:
        source: a file.
        place: where the picture goes; its suffix is the format.
        codec: what decodes.
        prior: the option that names the prior, for messages.
        share: of the repair that its options, or the prior's card, ask for.

    Raises:
        InputError: a damaged file, or a place that cannot be written.
        ModelError: the autoencoder, or a prior for the repair, is not there.
    """
    from dataclasses import replace

    from gesso.files import replacing
    from gesso_cli.reading import Metadata
    from gesso_cli.writing import save

    began = time.monotonic()
    data = source.read_bytes()
    with _options_named(prior):
        stream = codec.unpacked(data)
        codec = _weakened(codec, stream.header, share)
    # Opened before the work, so that a place that cannot be written is found at once.
    with replacing(place) as temporary, bar(source.name) as tick, _options_named(prior):
        told = replace(codec, runtime=replace(codec.runtime, progress=tick))
        picture = told.picture(stream)
        save(picture, temporary, Metadata(), place)
    return {
        "output": str(place),
        "codec": codec.name,
        "quality": stream.header.colors,
        "bytes": len(data),
        "repaired": codec.repair is not None,
        "width": picture.width,
        "height": picture.height,
        "seconds": round(time.monotonic() - began, 3),
    }


def _weakened(codec: LatentCodec, header: Header, share: float) -> LatentCodec:
    """The codec with a share of its repair."""
    from dataclasses import replace

    from gesso.latent.codec import latent_prior

    if codec.repair is None or share == 1:
        return codec
    card = latent_prior(codec.autoencoder(header), codec.prior)
    whole: Any = codec.repair.completed(card)
    part = replace(whole, strength=whole.strength * share, start=whole.start * share)
    return replace(codec, repair=part)


@contextmanager
def _options_named(prior: str) -> Iterator[None]:
    """Mends name the codec's arguments, for which the command has other options."""
    try:
        yield
    except ModelError as error:
        told = str(error).replace(" model=", " autoencoder=").replace(" prior=", f" {prior}=")
        raise ModelError(told) from error
