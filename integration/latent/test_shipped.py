"""The latent codec as it ships: real photographs in files of about 2 kB, in every host alike."""

from __future__ import annotations

import io
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import gesso
import gesso_hooks
import imageio_gesso
import pillow_gesso
from gesso.codec import get_codec
from gesso.evaluation.matching import nearest_quality
from gesso.evaluation.perceptual import lpips_alex, missing_lpips_alex

needs_lpips = pytest.mark.skipif(missing_lpips_alex() is not None, reason="no LPIPS")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def file(photo: Image.Image) -> bytes:
    return gesso.LatentCodec().encode(photo, 256)


def _lpips(one: Image.Image, two: Image.Image) -> float:
    tensors = [
        torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        for picture in (one, two)
    ]
    with torch.inference_mode():
        return float(lpips_alex(*tensors))


def test_more_entries_are_more_bytes(photo: Image.Image, file: bytes) -> None:
    sizes = [len(gesso.LatentCodec().encode(photo, colors)) for colors in (16, 64)]
    assert sizes[0] < sizes[1] < len(file) < 3400


@needs_lpips
def test_it_is_nearer_than_other_codecs_in_as_many_bytes(photo: Image.Image, file: bytes) -> None:
    gesso_hooks.load()
    own = _lpips(photo, gesso.LatentCodec().decode(file))
    # WebP has no file this small.
    for name in ("jpeg", "avif"):
        codec = get_codec(name)
        decoded = codec.decode(codec.encode(photo, nearest_quality(codec, photo, len(file))))
        assert own < _lpips(photo, decoded), name


@needs_lpips
def test_the_repair_helps_where_the_palette_is_coarse(photo: Image.Image) -> None:
    plain = gesso.LatentCodec()
    file = plain.encode(photo, 16)
    repaired = gesso.LatentCodec(repair=gesso.RepairOptions())
    assert _lpips(photo, repaired.decode(file)) < _lpips(photo, plain.decode(file))


def test_every_host_shows_the_same(photo: Image.Image, file: bytes, tmp_path: Path) -> None:
    expected = np.asarray(gesso.LatentCodec().decode(file))
    pillow_gesso.register()
    imageio_gesso.register()
    try:
        with Image.open(io.BytesIO(file)) as image:
            assert (image.format, image.size, image.mode) == ("GSL", (512, 512), "RGB")
            assert np.array_equal(np.asarray(image), expected)
        photo.save(tmp_path / "a.gsl", quality=256)
        assert (tmp_path / "a.gsl").read_bytes() == file
        iio.imwrite(tmp_path / "b.gsl", np.asarray(photo), plugin="gesso", quality=256)
        assert (tmp_path / "b.gsl").read_bytes() == file
        assert np.array_equal(iio.imread(tmp_path / "b.gsl", plugin="gesso"), expected)
    finally:
        imageio_gesso.unregister()
        pillow_gesso.unregister()
