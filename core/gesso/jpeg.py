"""What a JPEG file itself states: the cell in which each of its DCT coefficients lies."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.target import jpeg_quality

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from torch import Tensor

    from gesso.options import EnhanceOptions

__all__ = ["JpegCoefficients", "JpegComponent", "Sampling", "coefficients_for"]

Sampling = Literal["4:4:4", "4:2:2", "4:2:0"]
SAMPLINGS: dict[tuple[int, int], Sampling] = {(1, 1): "4:4:4", (1, 2): "4:2:2", (2, 2): "4:2:0"}
# What libjpeg's encoder adds to the mean of a box (rows, columns) in even columns before it
# drops the fraction; 1/2 elsewhere (jcsample.c).
BIASES = {(1, 2): 0.0, (2, 2): 0.25}
# Start-of-frame markers (ITU-T T.81, Table B.1) of what has no coefficients for us.
FOREIGN = {
    0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical",
    0xC9: "arithmetic-coded", 0xCA: "arithmetic-coded", 0xCB: "lossless",
    0xCD: "hierarchical", 0xCE: "hierarchical", 0xCF: "hierarchical",
}  # fmt: skip
START_OF_SCAN = 0xDA
SPACES = {2: "RGB", 4: "CMYK", 5: "YCCK"}  # libjpeg's J_COLOR_SPACE
MEND = "leave faithful out for this file"


@dataclass(frozen=True, eq=False)
class JpegComponent:
    """One component's part of a file.

    Attributes:
        levels: (rows, columns, 8, 8) int16, the quantised coefficients of its blocks; [0, 1]
            is the first horizontal frequency.
        table: (8, 8) float32 quantisation steps, in the same order.
        rows, columns: how many rows and columns of the picture one sample stands for.
    """

    levels: NDArray[np.int16]
    table: NDArray[np.float32]
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True, eq=False)
class JpegCoefficients:
    """The quantised coefficients of a JPEG file.

    Attributes:
        width, height: of the picture, in pixels.
        components: Y alone (a grey file), or Y, Cb and Cr.
    """

    width: int
    height: int
    components: tuple[JpegComponent, ...]

    @classmethod
    def of_file(cls, data: bytes) -> JpegCoefficients:
        """Read a whole baseline or progressive file of 8 bits, grey or YCbCr.

        Blocks that a truncated file lacks are read as zeros.

        Raises:
            InputError: damaged, no JPEG, or of a kind that is not read: lossless,
                hierarchical, arithmetic-coded, 12 bits, RGB, CMYK, YCCK.
        """
        if kind := FOREIGN.get(_process(data)):
            raise InputError(f"this JPEG is {kind}, whose coefficients are not read; {MEND}")
        content, tables = _read(data), _tables(data)
        if content.data_precision != 8:
            raise InputError(
                f"this JPEG has {content.data_precision} bits per sample, not 8; {MEND}"
            )
        if space := SPACES.get(content.jpeg_color_space):
            raise InputError(f"this JPEG is {space}, neither grey nor YCbCr; {MEND}")
        infos = content.comp_info
        tallest = max(info.v_samp_factor for info in infos)
        widest = max(info.h_samp_factor for info in infos)
        components: list[JpegComponent] = []
        for info, plane in zip(infos, content.coef_arrays, strict=True):
            rows, columns = tallest / info.v_samp_factor, widest / info.h_samp_factor
            # The decoders that gesso meets want whole luma, as do all encoders in use.
            if rows % 1 or columns % 1 or (not components and rows * columns != 1):
                raise InputError(
                    "this JPEG subsamples its luma, or by fractions of a pixel; " + MEND
                )
            if info.quant_tbl_no not in tables:
                raise InputError(f"this JPEG lacks a quantisation table; {MEND}")
            table = tables[info.quant_tbl_no]
            components.append(JpegComponent(_blocks(plane), table, int(rows), int(columns)))
        return cls(content.image_width, content.image_height, tuple(components))

    @classmethod
    def of_image(cls, image: object) -> JpegCoefficients:
        """Of the file that a PIL image was opened from, if that is still within reach.

        Raises:
            InputError: no JPEG, a file that is out of reach or has changed since, or one that
                :meth:`of_file` refuses.
        """
        opened = cast("Image.Image", image)
        stated: dict[int, list[int]] = getattr(opened, "quantization", None) or {}
        # The later pictures of a multi-picture file are not read.
        if not stated or opened.tell():
            raise InputError(
                "this picture is not a JPEG file as Pillow opens it, so nothing states its "
                "coefficients; open the file and pass that image, unchanged"
            )
        found = cls.of_file(_bytes_of(opened))
        tables = [list(table) for table in stated.values()]
        same = all(part.table.ravel().tolist() in tables for part in found.components)
        if (found.width, found.height) != opened.size or not same:
            raise InputError(
                f"the file at hand holds {found.width} x {found.height} pixels of another "
                f"coding than this image of {opened.width} x {opened.height}; open it anew"
            )
        return found

    @property
    def grey(self) -> bool:
        """Whether the file holds luma alone."""
        return len(self.components) == 1

    @property
    def sampling(self) -> Sampling | None:
        """The subsampling by its usual name (``4:4:4`` for grey); None for one without."""
        factors = {(component.rows, component.columns) for component in self.components[1:]}
        if len(factors) > 1:
            return None
        return SAMPLINGS.get(factors.pop() if factors else (1, 1))

    @property
    def tables(self) -> NDArray[np.float32]:
        """(3, 8, 8) quantisation steps of Y, Cb and Cr; a grey file's one thrice."""
        found = [component.table for component in self.components]
        return np.stack(found if len(found) == 3 else found[:1] * 3)

    @property
    def quality(self) -> float:
        """The libjpeg quality nearest to the luma table, in [1, 100]."""
        return jpeg_quality(self.tables[0].ravel().tolist())

    def differentiable(self) -> Callable[[Tensor], Tensor]:
        """This coding as a function of RGB (B, 3, H, W) on [0, 1], with gradients.

        Raises:
            InputError: a subsampling that the surrogate has not.
        """
        import torch

        from gesso.surrogates.jpeg import differentiable_jpeg

        sampling = self.sampling
        if sampling is None:
            raise InputError(
                "this JPEG's subsampling is none of 4:4:4, 4:2:2, 4:2:0; use preset medium"
            )
        tables = torch.from_numpy(self.tables)
        return lambda rgb: differentiable_jpeg(rgb, tables, sampling)


def coefficients_for(
    options: EnhanceOptions,
    read: Callable[[], JpegCoefficients],
    quality: float | None = None,
) -> JpegCoefficients | None:
    """What a JPEG file states, where the options have a use for it; reading takes time.

    Args:
        options: ``faithful=True`` must have it, None is content without, as is the constraint
            of sampler ``dps``.
        read: how to come by it.
        quality: what the user says of the picture's past. A file of another quality was made
            since, of a picture that had lost more already: it is left out unless asked for.

    Raises:
        InputError: from ``read``, where it must be had.
    """
    if options.faithful:
        return read()
    # Some models' preset slow is that sampler.
    if options.faithful is False and options.preset != "slow" and options.sampler != "dps":
        return None
    try:
        found = read()
    except InputError:
        return None
    return found if quality is None or found.quality == round(quality) else None


def _process(data: bytes) -> int:
    """The start-of-frame marker's code, 0 where there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        code = data[at + 1]
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            return code
        # A marker may be preceded by any number of fill bytes.
        at += 1 if code == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _read(data: bytes) -> Any:
    try:
        import jpegio
    except ImportError as error:
        raise InputError(
            f"reading a JPEG's coefficients needs pyjpegio; pip install pyjpegio, or {MEND}"
        ) from error
    # libjpeg reads a file by its path.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.jpg"
        path.write_bytes(data)
        try:
            return jpegio.read(str(path))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"cannot read this JPEG's coefficients: {error}; {MEND}") from error


def _blocks(plane: NDArray[Any]) -> NDArray[np.int16]:
    height, width = plane.shape
    blocks = plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)
    return np.ascontiguousarray(blocks, dtype=np.int16)


def _tables(data: bytes) -> dict[int, NDArray[np.float32]]:
    """By the number that components name them with, which pyjpegio does not keep."""
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        with JpegImageFile(io.BytesIO(data)) as image:
            found = image.quantization
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(f"cannot read this JPEG's tables: {error}; {MEND}") from error
    return {key: np.array(table, np.float32).reshape(8, 8) for key, table in found.items()}


def _bytes_of(image: Image.Image) -> bytes:
    stream, name = getattr(image, "fp", None), getattr(image, "filename", "")
    if stream is not None and not stream.closed:
        at = stream.tell()
        stream.seek(0)
        data = bytes(stream.read())
        stream.seek(at)
        return data
    try:
        if name:
            return Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name} is out of reach: {error}; open it anew") from error
    raise InputError(
        "the stream that this JPEG came from is gone once its pixels are loaded; "
        "open it by its path, or pass the image before it is loaded"
    )
