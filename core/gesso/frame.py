"""Pictures as the core sees them, and the way back to what the host handed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gesso.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Frame", "Picture", "mirror"]

Picture = TypeVar("Picture")  # PIL image, numpy array or torch tensor; the same comes back

PIL_MODES = ("RGB", "RGBA", "L", "LA")
PIL_MENDS = {
    "P": "convert('RGB'), or convert('RGBA') where it has transparency",
    "PA": "convert('RGBA')",
    "1": "convert('L')",
    "CMYK": "convert('RGB') with an ICC transform (PIL.ImageCms)",
    "I;16": "a numpy uint16 array, which keeps its 16 bits",
    "I;16B": "a numpy uint16 array, which keeps its 16 bits",
    "I": "a numpy uint16 array",
    "F": "a numpy float array in [0, 1]",
}
SCALE = {torch.uint8: 255.0, torch.uint16: 65535.0}
ROWS = 64
# Rec. 601, as Pillow's own convert("L").
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Frame:
    """RGB pictures, float32 on [0, 1], sRGB as stored, read by window.

    The samples stay in the host's own dtype until a window is asked for, so that a
    picture of 100 megapixels costs its bytes and no more.

    Attributes:
        samples: (B, C, H, W), C 1 (grey) or 3, uint8, uint16 or floating.
        alpha: (B, 1, H, W) in the same dtype, or None; returned untouched.
        form: what :meth:`restore` gives back.
        mode: PIL mode or empty.
        info: PIL's ``info`` dictionary or empty.
        axes: number of axes of the array that came in.
        places: (B, 2, H, W) int64, row and column of each pixel in the noise field; None is
            where the pixel itself is. Whoever follows motion moves them along.
    """

    samples: Tensor
    alpha: Tensor | None = None
    form: Literal["pil", "numpy", "torch"] = "torch"
    mode: str = ""
    info: dict[Any, Any] | None = None
    axes: int = 4
    places: Tensor | None = None

    @classmethod
    def of(cls, image: object) -> Frame:
        """Wrap a picture.

        Args:
            image: a PIL image in mode RGB, RGBA, L or LA; a numpy array (H, W),
                (H, W, C) or (B, H, W, C), or a torch tensor (C, H, W) or (B, C, H, W),
                with C 1 to 4, as uint8, uint16 or floating point in [0, 1].

        Raises:
            InputError: another mode, shape, dtype or range, or values that are not finite.
        """
        if isinstance(image, Frame):
            return image
        if isinstance(image, torch.Tensor):
            return cls._of_tensor(image)
        if isinstance(image, np.ndarray):
            return cls._of_array(image)
        if hasattr(image, "getbands"):
            return cls._of_pil(cast("Image.Image", image))
        raise InputError(
            f"cannot read a picture from {type(image).__name__}; "
            "pass a PIL image, a numpy array or a torch tensor"
        )

    @classmethod
    def _of_pil(cls, image: Image.Image) -> Frame:
        if image.mode not in PIL_MODES:
            mend = PIL_MENDS.get(image.mode, "convert('RGB')")
            raise InputError(
                f"mode {image.mode} is not one of {', '.join(PIL_MODES)}; first use {mend}"
            )
        frame = cls._of_array(np.array(image)[None] if image.mode != "L" else np.array(image))
        return replace(frame, form="pil", mode=image.mode, info=dict(image.info))

    @classmethod
    def _of_array(cls, array: NDArray[Any]) -> Frame:
        if array.ndim not in (2, 3, 4) or (array.ndim > 2 and array.shape[-1] not in (1, 2, 3, 4)):
            raise InputError(
                f"array of shape {array.shape} is not (H, W), (H, W, C) or (B, H, W, C) "
                "with 1 to 4 channels last; move the axes there"
            )
        if array.dtype.kind == "f":
            data = array if array.dtype.itemsize > 2 else array.astype(np.float32)
        elif array.dtype in (np.uint8, np.uint16):
            data = array
        else:
            raise InputError(
                f"array of {array.dtype} has no agreed range; use uint8, uint16 or float in [0, 1]"
            )
        tensor = torch.from_numpy(np.require(data, requirements=["W"]))
        whole = tensor.reshape(
            (1, *array.shape, 1)
            if array.ndim == 2
            else (1, *array.shape)
            if array.ndim == 3
            else array.shape
        )
        frame = cls._split(whole.permute(0, 3, 1, 2), array.shape)
        return replace(frame, form="numpy", mode=array.dtype.name, axes=array.ndim)

    @classmethod
    def _of_tensor(cls, tensor: Tensor) -> Frame:
        if tensor.ndim not in (3, 4) or tensor.shape[-3] not in (1, 2, 3, 4):
            raise InputError(
                f"tensor of shape {tuple(tensor.shape)} is not (C, H, W) or (B, C, H, W) "
                "with 1 to 4 channels first; move the axes there"
            )
        if not tensor.is_floating_point() and tensor.dtype not in SCALE:
            raise InputError(
                f"tensor of {tensor.dtype} has no agreed range; "
                "use uint8, uint16 or floating point in [0, 1]"
            )
        whole = tensor if tensor.ndim == 4 else tensor[None]
        return replace(cls._split(whole.detach(), tensor.shape), axes=tensor.ndim)

    @classmethod
    def _split(cls, whole: Tensor, shape: tuple[int, ...]) -> Frame:
        if whole.numel() == 0:
            raise InputError(f"a picture of shape {tuple(shape)} is empty; pass at least one pixel")
        if whole.is_floating_point():
            low, high = (float(v) for v in torch.aminmax(whole))
            if not (low >= 0.0 and high <= 1.0):
                raise InputError(
                    f"floating point pixels span [{low:g}, {high:g}]; scale them to [0, 1] "
                    "and remove values that are not finite"
                )
        bands = whole.shape[1]
        if bands in (2, 4):
            return cls(whole[:, : bands - 1], whole[:, bands - 1 :])
        return cls(whole)

    @property
    def batch(self) -> int:
        """Pictures in the frame."""
        return self.samples.shape[0]

    @property
    def height(self) -> int:
        """Rows."""
        return self.samples.shape[2]

    @property
    def width(self) -> int:
        """Columns."""
        return self.samples.shape[3]

    @property
    def rgb(self) -> Tensor:
        """All of it, (B, 3, H, W) float32 on [0, 1]."""
        return self.window(0, 0, self.height, self.width)

    def window(
        self, top: int, left: int, height: int, width: int, index: slice = slice(None)
    ) -> Tensor:
        """(b, 3, height, width) float32 on [0, 1]; beyond the border the picture is mirrored."""
        part = self.samples[index]
        inside = top >= 0 and left >= 0
        if inside and top + height <= self.height and left + width <= self.width:
            part = part[:, :, top : top + height, left : left + width]
        else:
            rows = mirror(top, height, self.height, part.device)
            columns = mirror(left, width, self.width, part.device)
            # torch has no gather for uint16: take rows and columns of a view it knows.
            view = part.view(torch.int16) if part.dtype == torch.uint16 else part
            part = view.index_select(2, rows).index_select(3, columns).view(part.dtype)
        rgb = part.to(torch.float32).expand(-1, 3, -1, -1)
        return rgb / SCALE[self.samples.dtype] if self.samples.dtype in SCALE else rgb

    def blank(self) -> Frame:
        """A frame of the same layout whose samples are still to be :meth:`put`."""
        # The host's axis order is kept, so that restore() needs no second copy.
        samples = torch.empty_like(self.samples, memory_format=torch.preserve_format)
        if self.form != "torch":
            batch, bands, height, width = self.samples.shape
            samples = samples.new_empty((batch, height, width, bands)).permute(0, 3, 1, 2)
        return replace(self, samples=samples)

    def put(self, top: int, left: int, rgb: Tensor, index: slice = slice(None)) -> None:
        """Write (b, 3, h, w) floats at (top, left) of the pictures ``index``, cut at the border.

        Values are clamped to [0, 1]; grey takes the Rec. 601 luma; integers are rounded.
        """
        target = self.samples[index, :, top : top + rgb.shape[2], left : left + rgb.shape[3]]
        rgb = rgb[:, :, : target.shape[2], : target.shape[3]]
        # A few rows at a time: a band of a large picture is not copied whole.
        for rows, part in zip(torch.split(rgb, ROWS, 2), torch.split(target, ROWS, 2), strict=True):
            values = rows.to(part.device, torch.float32)
            if part.shape[1] == 1:
                weights = torch.tensor(LUMA, device=values.device)[:, None, None]
                values = (values * weights).sum(1, keepdim=True)
            values = values.clamp(0, 1)
            if part.dtype in SCALE:
                values = values.mul_(SCALE[part.dtype]).round_()
            part.copy_(values.to(part.dtype))

    def with_rgb(self, rgb: Tensor) -> Frame:
        """The same kind of picture with other pixels, (B, 3, H, W) on [0, 1]."""
        expected = (self.batch, 3, self.height, self.width)
        if tuple(rgb.shape) != expected:
            raise InputError(f"pixels of shape {tuple(rgb.shape)} do not fit a frame of {expected}")
        frame = self.blank()
        frame.put(0, 0, rgb)
        return frame

    def restore(self) -> Any:
        """What came in: the same type, size, mode and dtype, alpha untouched."""
        whole = self.samples if self.alpha is None else torch.cat([self.samples, self.alpha], 1)
        if self.form == "torch":
            return whole if self.axes == 4 else whole[0]
        array = whole.permute(0, 2, 3, 1).numpy()
        if self.form == "numpy":
            array = array[0] if self.axes == 3 else array[0, :, :, 0] if self.axes == 2 else array
            return np.ascontiguousarray(array).astype(self.mode, copy=False)
        from PIL import Image

        image = Image.fromarray(
            np.ascontiguousarray(array[0, :, :, 0] if self.mode == "L" else array[0])
        )
        image.info = dict(self.info or {})
        return image


def mirror(start: int, length: int, size: int, device: torch.device) -> Tensor:
    """Indices start..start+length folded into 0..size-1, the edge repeated once."""
    index = torch.arange(start, start + length, device=device) % (2 * size)
    return torch.where(index < size, index, 2 * size - 1 - index)
