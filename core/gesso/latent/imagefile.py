"""A ``.gsl`` file as one of Pillow's image files, for whatever host opens it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from PIL import ImageFile

from gesso.errors import InputError
from gesso.latent.codec import LATENT

if TYPE_CHECKING:
    from gesso.latent.codec import LatentCodec

__all__ = ["FORMAT", "MIME", "LatentImageFile"]

FORMAT = "GSL"
MIME = "image/x-gesso-latent"


class LatentImageFile(ImageFile.ImageFile):
    """Size and mode (RGB or L) from the header alone; networks run when pixels are asked for.

    ``info`` has the palette's entries as ``quality``, whether they are in the file as
    ``own_palette``, and ``autoencoder``, the model's name and digest.

    Args:
        fp: a file's name, or a stream at the file's beginning.
        filename: of a stream.
        codec: what decodes it; it repairs where its ``repair`` says so.

    Raises:
        SyntaxError: no such file, or a damaged header, as Pillow's own formats do.
        OSError: on load(), damaged or truncated bytes.
        ModelError: on load(), the autoencoder, or a prior for the repair, is not there.
    """

    format = FORMAT
    format_description = "gesso's latent codec"

    def __init__(
        self,
        fp: str | bytes | IO[bytes],
        filename: str | bytes | None = None,
        codec: LatentCodec = LATENT,
    ) -> None:
        self._codec = codec
        super().__init__(fp, filename)

    def _open(self) -> None:
        from gesso.latent.stream import HEADER_BYTES, read_header

        assert self.fp is not None
        try:
            # whether it is too large is Pillow's to say, who asks on open
            header = read_header(self.fp.read(HEADER_BYTES), max_pixels=None)
        except InputError as error:
            raise SyntaxError(str(error)) from error
        self._size = header.width, header.height
        self._mode = "L" if header.grey else "RGB"
        self.info["quality"] = header.colors
        self.info["own_palette"] = header.own
        self.info["autoencoder"] = header.autoencoder

    def load(self) -> Any:
        """See Pillow."""
        if self._im is None and self.fp is not None:
            self.fp.seek(0)
            data = self.fp.read()
            try:
                stream = self._codec.unpacked(data)
                self.im = self._codec.picture(stream).im
            except InputError as error:
                raise OSError(str(error)) from error
            self.readonly = 0
            if self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()
