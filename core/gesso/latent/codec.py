"""The latent codec: pictures as palettised latents of an autoencoder, files ending in ``.gsl``.

"Post-processing Based Image Coding via Stable Diffusion", after M. Buehlmann's notebook: latents
on an 8-bit scale, a palette, an entropy coder; the prior repairs them after decoding. Beyond it:
palettes that come with the autoencoder, any number of entries from 16 to 256 as the quality, and
an entropy coder with a model of its neighbours (:mod:`gesso.latent.entropy`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from gesso.cards import DEFAULTS, ModelCard, get_model, load, models
from gesso.codec import check_quality, interpolate_anchors
from gesso.errors import InputError, ModelError
from gesso.latent import EXTENSION
from gesso.runtime import Runtime

# Plug-in discovery imports this module: numpy and torch wait for the first picture.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from gesso.autoencoder import Autoencoder
    from gesso.latent.repair import RepairOptions
    from gesso.latent.stream import Header, Stream

__all__ = [
    "LATENT",
    "LatentCodec",
    "PaletteKind",
    "latent_prior",
    "shared_palette",
]

PaletteKind = Literal["shared", "kmeans", "imagequant"]
# (entries, QP): the constant QP of an HEVC still with the same mean square error, continued
# beyond HEVC's last, 51, at its 0.45 dB a step.
LATENT_QP = ((16, 58.1), (32, 56.4), (64, 55.5), (128, 55.0), (256, 54.6))
# Mode L of a picture goes through RGB, as everywhere.
MODES = ("RGB", "L")


@dataclass(frozen=True)
class LatentCodec:
    """System L as a codec; see :class:`gesso.Codec`. Quality is the palette's size.

    Attributes:
        model: name or folder of the autoencoder that encodes; None is the default. A file is
            decoded with the one that it names.
        palette: ``shared``, the autoencoder's own, which costs no bytes, where it has one of
            that size, else fitted; ``kmeans`` or ``imagequant`` fit one to every picture
            (:func:`gesso.latent.palette.fit_palette`).
        dither: share of the palette's error that is passed on, in [0, 1]. 1 is the paper's; 0
            codes in fewer bytes, and what is learned from expects it.
        refine: steps of a descent that each picture's latents are refined by when it is encoded
            (:func:`gesso.latent.refining.refine`); 0 leaves them as the autoencoder gives them.
        repair: how decoded latents are repaired; None leaves them as they are.
        prior: name or folder of the prior that repairs them; None is the one of the
            autoencoder.
        controlnet: folder of a ControlNet for edges, where the prior is a Stable Diffusion.
        runtime: device, dtype, tiles, and the progress of the repair.
    """

    model: str | None = None
    palette: PaletteKind = "shared"
    dither: float = 0.0
    refine: int = 0
    repair: RepairOptions | None = None
    prior: str | None = None
    controlnet: str | None = None
    runtime: Runtime = field(default_factory=Runtime)
    name: str = "latent"
    extension: str = EXTENSION
    qualities: tuple[float, float] = (16.0, 256.0)

    def __post_init__(self) -> None:
        if self.palette not in get_args(PaletteKind):
            raise InputError(
                f"palette is one of {', '.join(get_args(PaletteKind))}, got {self.palette!r}"
            )
        if not 0 <= self.dither <= 1:
            raise InputError(f"dither must be in [0, 1], got {self.dither!r}")
        if not 0 <= self.refine <= 1000:
            raise InputError(f"refine must be a number of steps up to 1000, got {self.refine!r}")
        if self.refine and (self.dither or self.palette == "imagequant"):
            raise InputError("refined latents are coded without dither; leave out one of the two")

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """A picture of mode RGB or L to a whole file.

        Args:
            image: of any size.
            quality: entries of the palette, a whole number from 16 to 256.

        Raises:
            InputError: another mode, a quality out of range, or a missing libimagequant.
            ModelError: no such autoencoder.
        """
        if image.mode not in MODES:
            raise InputError(
                f"mode {image.mode} cannot be coded; first use convert('RGB'), without alpha"
            )
        check_quality(self, quality)
        import numpy as np

        from gesso.latent.stream import DIGEST_BYTES, Header, Stream, pack
        from gesso.latent.tiles import encode_picture

        card = get_model(self.model, "autoencoder")
        model: Autoencoder = load(card.name, "autoencoder", self.runtime)
        rgb = np.array(image.convert("RGB"))
        latents = encode_picture(model, rgb, self.runtime.tile)
        palette, indices, own = self._palettised(card, latents, model.magnitude, round(quality))
        if self.refine:
            from gesso.latent.palette import nearest
            from gesso.latent.refining import refine

            latents = refine(model, rgb, latents, palette, self.refine, self.runtime)
            indices = nearest(_values(latents, model.magnitude), palette)
        header = Header(
            width=image.width,
            height=image.height,
            factor=model.factor,
            digest=bytes.fromhex(card.sha256)[:DIGEST_BYTES],
            colors=len(palette),
            own=own,
            # Its digest says enough of a model that everybody has.
            model="" if card.name == DEFAULTS["autoencoder"] else _told(card.name),
            grey=image.mode == "L",
        )
        return pack(Stream(header, palette, indices))

    def _palettised(
        self, card: ModelCard, latents: NDArray[np.float32], magnitude: float, colors: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bool]:
        """(palette, indices, whether the palette is the picture's own)."""
        from gesso.latent.dither import floyd_steinberg
        from gesso.latent.palette import fit_palette, imagequant, nearest, quantise

        if self.palette == "imagequant":
            return *imagequant(quantise(latents, magnitude), colors, self.dither), True
        palette = shared_palette(card, colors) if self.palette == "shared" else None
        own = palette is None
        if palette is None:
            palette = fit_palette(quantise(latents, magnitude), colors)
        values = _values(latents, magnitude)
        if self.dither:
            return palette, floyd_steinberg(values, palette, self.dither), own
        return palette, nearest(values, palette), own

    def decode(self, data: bytes) -> Image.Image:
        """A whole file to an RGB picture, repaired where ``repair`` says so.

        Raises:
            InputError: bytes that are no such file; see :func:`gesso.latent.stream.unpack`.
            ModelError: the autoencoder, or a prior for it, is not there.
        """
        return self.picture(self.unpacked(data)).convert("RGB")

    def unpacked(self, data: bytes) -> Stream:
        """What is in a file, without running a network; raises as :meth:`decode`."""
        from gesso.latent.stream import unpack

        def known(header: Header) -> NDArray[np.uint8] | None:
            return shared_palette(self.autoencoder(header), header.colors)

        return unpack(data, known)

    def autoencoder(self, header: Header) -> ModelCard:
        """The card of the autoencoder that a file was coded with.

        Looked for are ``model``, those that are registered, and the one that ``prior`` is of.

        Raises:
            ModelError: it is not there.
        """
        cards = [get_model(self.model, "autoencoder")] if self.model else []
        cards += models("autoencoder").values()
        for card in cards:
            if bytes.fromhex(card.sha256).startswith(header.digest):
                return card
        if self.prior is not None:
            from gesso.latent.prior import modelled_autoencoder

            card = modelled_autoencoder(get_model(self.prior, "prior"))
            if bytes.fromhex(card.sha256).startswith(header.digest):
                return card
        there = ", ".join(sorted(models("autoencoder"))) or "no autoencoder yet"
        raise ModelError(
            f"the file was coded with {header.autoencoder}, which is not here (there are: "
            f"{there}); pass its name or folder as model="
        )

    def picture(self, stream: Stream) -> Image.Image:
        """The picture of a stream, of mode L where it was grey."""
        import numpy as np
        from PIL import Image

        from gesso.latent.palette import dequantise
        from gesso.latent.tiles import decode_picture

        header = stream.header
        card = self.autoencoder(header)
        model: Autoencoder = load(card.name, "autoencoder", self.runtime)
        if model.factor != header.factor or model.channels != stream.palette.shape[1]:
            raise InputError(
                f"the file has {stream.palette.shape[1]} channels at 1/{header.factor}, its "
                f"autoencoder {card.name!r} {model.channels} at 1/{model.factor}; it is damaged"
            )
        latents = dequantise(stream.palette[stream.indices], model.magnitude)
        if self.repair is not None:
            latents = self._repaired(card, stream, latents)
        rgb = decode_picture(model, latents, self.runtime.tile)
        image = Image.fromarray(np.ascontiguousarray(rgb[: header.height, : header.width]))
        return image.convert("L") if header.grey else image

    def _repaired(
        self, card: ModelCard, stream: Stream, latents: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        import numpy as np
        import torch

        from gesso.checkpoints.latent import LatentSpace
        from gesso.latent.palette import palette_noise
        from gesso.latent.repair import repair
        from gesso.space import space_of

        known = latent_prior(card, self.prior)
        prior = load(known.name, "prior", self.runtime)
        space = cast("LatentSpace", space_of(prior))
        options = cast("RepairOptions", self.repair).completed(known)
        control = None
        if self.controlnet is not None:
            from gesso.checkpoints.controlnet import load_controlnet

            control = load_controlnet(self.controlnet, prior, self.runtime)
        # from bytes to scaled latents
        unit = 2 * space.autoencoder.magnitude / 255 * space.autoencoder.scale
        noise = unit * palette_noise(stream.palette, stream.indices)
        raw: Tensor = torch.from_numpy(latents).permute(2, 0, 1)[None]
        repaired = repair(prior, space.scaled(raw), options, control, self.runtime, noise)
        return np.ascontiguousarray(space.raw(repaired)[0].permute(1, 2, 0).cpu().numpy())

    def qp(self, quality: float) -> float:
        """See :class:`gesso.Codec`."""
        return interpolate_anchors(LATENT_QP, quality)


LATENT = LatentCodec()


def shared_palette(card: ModelCard, colors: int) -> NDArray[np.uint8] | None:
    """An autoencoder's palette (colors, C) of that size; None where it has none."""
    content = card.settings.get("palettes", {}).get(str(colors))
    if content is None:
        return None
    import numpy as np

    return np.frombuffer(base64.b64decode(content), np.uint8).reshape(colors, -1)


def latent_prior(autoencoder: ModelCard, name: str | None = None) -> ModelCard:
    """The prior of an autoencoder's latents: that of ``name``, else the one made for it.

    Raises:
        ModelError: there is none, or the one of that name models something else.
    """
    if name is not None:
        from gesso.latent.prior import modelled_autoencoder

        card = get_model(name, "prior")
        own = modelled_autoencoder(card)
        if own.sha256 != autoencoder.sha256:
            raise ModelError(
                f"{card.name!r} models the latents of {own.name!r}, and these are of "
                f"{autoencoder.name!r}; name a prior of the latter as prior=, or code the picture "
                "with the former"
            )
        return card
    for card in models("prior").values():
        if card.settings.get("autoencoder", {}).get("sha256") == autoencoder.sha256:
            return card
    raise ModelError(
        f"no prior is known for the latents of {autoencoder.name!r}; name one as prior=, such as "
        "the Stable Diffusion folder that it is of, or train it: gesso train prior --space latent"
    )


def _values(latents: NDArray[np.float32], magnitude: float) -> NDArray[np.float32]:
    """Latents on the palette's scale, not rounded."""
    import numpy as np

    scaled = latents / np.float32(2 * magnitude) + np.float32(0.5)
    return np.clip(scaled, 0, 1) * np.float32(255)


def _told(name: str) -> str:
    """A model's name as a file may say it: of a folder its last part alone."""
    short = name.rstrip("/").rpartition("/")[2]
    return "".join(c for c in short if c.isprintable()).encode()[:64].decode(errors="ignore")
