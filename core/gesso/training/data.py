"""Pictures for training: decoded once into memory, cropped at random."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gesso.errors import InputError

__all__ = ["CropSampler", "picture_files", "validation_crops"]

# By how much a crop is enlarged where that is asked for: as soft as scans and old cameras.
ENLARGEMENT = (1.2, 2.5)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm")


def picture_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The pictures directly inside ``folder``, sorted by name; raises when there are none."""
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give one that holds pictures")
    files = sorted(p for p in root.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"no pictures in {root}; it needs files ending in {', '.join(SUFFIXES)}")
    return files


def read_rgb(path: Path, scale: float = 1.0) -> NDArray[np.uint8]:
    """One picture as (H, W, 3) uint8, shrunk by an antialiased Lanczos filter."""
    try:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is no whole picture ({error}); remove or replace it") from error
    if scale != 1.0:
        size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        rgb = rgb.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(rgb)


@dataclass
class CropSampler:
    """Random square crops with flips and quarter turns, reproducible from its generator.

    Each picture is kept at several scales (shrinking hides the source's own
    compression); one is drawn with a chance proportional to its area to ``bias``. Nothing is
    resampled up but the share ``enlarged`` of all crops, so that soft pictures are known, too.
    """

    pictures: list[NDArray[np.uint8]]
    chances: NDArray[np.float64]
    size: int
    enlarged: float = 0.0

    @classmethod
    def from_files(
        cls,
        files: Sequence[Path],
        size: int,
        scales: Sequence[float] = (1.0, 0.7, 0.5),
        bias: float = 0.5,
        progress: Callable[[int, int], None] | None = None,
        enlarged: float = 0.0,
    ) -> CropSampler:
        """Decode ``files`` at ``scales``; versions smaller than ``size`` are left out."""
        pictures: list[NDArray[np.uint8]] = []
        for index, path in enumerate(files):
            for scale in scales:
                picture = read_rgb(path, scale)
                if min(picture.shape[:2]) >= size:
                    pictures.append(picture)
            if progress:
                progress(index + 1, len(files))
        if not pictures:
            raise InputError(f"no picture is at least {size} pixels wide and high; lower --crop")
        area = np.array([p.shape[0] * p.shape[1] for p in pictures], dtype=np.float64)
        weights = area**bias
        return cls(pictures, weights / weights.sum(), size, enlarged)

    def take(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One crop, (size, size, 3)."""
        picture = self.pictures[int(rng.choice(len(self.pictures), p=self.chances))]
        soft = self.enlarged > 0 and rng.random() < self.enlarged
        side = round(self.size / rng.uniform(*ENLARGEMENT)) if soft else self.size
        y = rng.integers(picture.shape[0] - side + 1)
        x = rng.integers(picture.shape[1] - side + 1)
        crop = picture[y : y + side, x : x + side]
        if soft:
            whole = Image.fromarray(crop).resize((self.size, self.size), Image.Resampling.BICUBIC)
            crop = np.asarray(whole)
        crop = np.rot90(crop, int(rng.integers(4)))
        return np.ascontiguousarray(crop[:, ::-1] if rng.integers(2) else crop)

    def draw(self, batch: int, rng: np.random.Generator) -> Tensor:
        """A batch of crops, (batch, 3, size, size) float32 on [-1, 1]."""
        out = np.stack([self.take(rng) for _ in range(batch)])
        return to_model_range(out)


def validation_crops(files: Sequence[Path], size: int) -> Tensor:
    """The centre crop of every picture, (N, 3, size, size) float32 on [-1, 1]."""
    crops = []
    for path in files:
        picture = read_rgb(path)
        top, left = (picture.shape[0] - size) // 2, (picture.shape[1] - size) // 2
        if min(top, left) < 0:
            raise InputError(f"{path.name} is smaller than {size} x {size}; use larger pictures")
        crops.append(picture[top : top + size, left : left + size])
    return to_model_range(np.stack(crops))


def to_model_range(pixels: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 on [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
