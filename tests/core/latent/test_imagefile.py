"""``.gsl`` files as Pillow's image files, of which Pillow itself knows nothing here."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.core.conftest import own_autoencoder

from gesso.latent.codec import LatentCodec
from gesso.latent.imagefile import LatentImageFile


@pytest.fixture
def codec(tmp_path: Path) -> LatentCodec:
    own_autoencoder(tmp_path / "autoencoder")
    return LatentCodec(model=str(tmp_path / "autoencoder"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_header_first_and_the_pixels_when_asked_for(mode: str, codec: LatentCodec) -> None:
    picture = Image.radial_gradient("L").resize((37, 29)).convert(mode)
    data = codec.encode(picture, 16)
    with LatentImageFile(io.BytesIO(data), codec=codec) as found:
        assert (found.size, found.mode, found.format) == ((37, 29), mode, "GSL")
        colors = codec.unpacked(data).header.colors
        assert found.info["quality"] == colors and found.info["own_palette"]
        assert found.info["autoencoder"].startswith("autoencoder of digest ")
        assert np.array_equal(found, codec.picture(codec.unpacked(data)))
        assert np.array_equal(found.convert("RGB"), codec.decode(data))


def test_damage(codec: LatentCodec) -> None:
    data = codec.encode(Image.new("RGB", (9, 9), "red"), 16)
    for kept in (0, 4, 13):
        with pytest.raises(SyntaxError, match=r"truncated|is no \.gsl"):
            LatentImageFile(io.BytesIO(data[:kept]), codec=codec)
    cut = LatentImageFile(io.BytesIO(data[:-1]), codec=codec)
    with pytest.raises(OSError, match="truncated"):
        cut.load()
