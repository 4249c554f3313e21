"""gesso's latent codec with CompressAI's interface: ``.gsl`` files, repaired after decoding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from compressai_gesso.files import FileModel
from gesso.errors import InputError
from gesso.latent.codec import LatentCodec, PaletteKind
from gesso.latent.repair import RepairOptions

__all__ = ["ENTRIES", "LatentModel"]

# Entries of the palette at the zoo's qualities 1 to 5.
ENTRIES = (16, 32, 64, 128, 256)
# Of enhancement by noise, which is not what repairs latents.
FOREIGN = ("preset", "tradeoff", "seed")


class LatentModel(FileModel):
    """A :class:`FileModel` of the latent codec, whose networks come before and after the file.

    Args:
        codec: its name.
        quality: entries of the palette, 16 to 256.
        enhance: True or a :class:`gesso.latent.repair.RepairOptions` repairs what is decoded;
            False does not.
        model, palette, dither, refine, prior: of :class:`gesso.latent.codec.LatentCodec`.
        sides: ``preprocess`` and ``runtime``, as of :class:`FileModel`.

    Raises:
        InputError: an option out of its range, or one that a repair does not have.
    """

    def __init__(
        self,
        codec: str,
        quality: int,
        *,
        enhance: object = True,
        model: str | None = None,
        palette: PaletteKind = "shared",
        dither: float = 0.0,
        refine: int = 0,
        prior: str | None = None,
        **sides: Any,
    ) -> None:
        if odd := [name for name in FOREIGN if sides.pop(name, None) is not None]:
            raise InputError(
                f"the latent codec is repaired, to which {', '.join(odd)} do not apply; pass "
                "enhance= True, False or a gesso.latent.repair.RepairOptions"
            )
        super().__init__(codec, quality, enhance=False, **sides)
        self._latent = LatentCodec(
            model, palette, dither, refine=refine, repair=_repair(enhance), prior=prior
        )

    @property
    def codec(self) -> LatentCodec:
        """The codec itself, where this module is."""
        return replace(self._latent, runtime=self._runtime())


def _repair(enhance: object) -> RepairOptions | None:
    if enhance is None or enhance is False:
        return None
    if enhance is True:
        return RepairOptions()
    if isinstance(enhance, RepairOptions):
        return enhance
    raise InputError(
        "enhance must be True, False or a gesso.latent.repair.RepairOptions for the latent codec, "
        f"got {enhance!r}"
    )
