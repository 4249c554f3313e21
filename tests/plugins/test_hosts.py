"""The same picture, model and seed give the same pixels, whichever host asked."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import gesso
import imageio_gesso
import pillow_gesso
from compressai_gesso.files import FileModel, image_of
from gesso import cards
from gesso.cards import ModelCard
from gesso.frame import Frame
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target

Photo = Callable[..., Image.Image]
QUALITIES = {"jpeg": 20, "webp": 15, "avif": 25}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Both hosts know gesso."""
    pillow_gesso.register(pillow_gesso.Enhance())
    imageio_gesso.register()
    yield
    pillow_gesso.unregister()
    imageio_gesso.unregister()


def prepared(
    frame: Frame, target: Target, options: PreprocessOptions, runtime: gesso.Runtime
) -> Frame:
    """A preprocessor that depends on all it is told."""
    generator = torch.Generator().manual_seed(options.seed)
    noise = torch.randn(frame.rgb.shape, generator=generator)
    return frame.with_rgb((frame.rgb + noise * target.qp / 1000).clamp(0, 1))


@pytest.fixture
def preprocessor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a registered preprocessor."""
    module: Any = ModuleType("third_preprocessor")
    module.load = lambda card, runtime: prepared
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(cards, "_registry", dict(cards._registry))
    weights = tmp_path / "model.safetensors"
    save_file({"unused": torch.zeros(1)}, weights)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    cards.register_model(
        ModelCard(
            "third", "preprocessor", "third_preprocessor:load", tmp_path, weights.name, sha256
        )
    )
    return "third"


@pytest.mark.parametrize("codec", QUALITIES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_enhanced_pixels_are_the_same(codec: str, mode: str, photo: Photo, tmp_path: Path) -> None:
    path, quality = tmp_path / f"a.{codec}", QUALITIES[codec]
    photo(mode, (80, 72)).save(path, quality=quality)
    with Image.open(path) as image:
        # WebP and AVIF do not state their quality, so that the core must be told.
        known = {} if codec == "jpeg" else {"codec": codec, "quality": quality}
        core = np.asarray(gesso.enhance(image, seed=7, **known))
        plain = np.asarray(image)
    pillow_gesso.register(pillow_gesso.Enhance(seed=7, **known))
    with Image.open(path, formats=[f"ENHANCED-{codec.upper()}"]) as image:
        assert np.array_equal(image, core)
    known.pop("codec", None)
    found = iio.imread(path, plugin="gesso", enhance=EnhanceOptions(seed=7), **known)
    assert found.dtype == core.dtype and np.array_equal(found, core)
    assert not np.array_equal(core, plain)
    if mode == "RGB":  # CompressAI's models know no other
        net = FileModel(codec, quality, seed=7).eval()
        shown = net.decompress([[path.read_bytes()]], plain.shape[:2])["x_hat"]
        assert np.array_equal(image_of(shown[0]), core)
    other = iio.imread(path, plugin="gesso", enhance=EnhanceOptions(seed=8), **known)
    assert not np.array_equal(other, core)


@pytest.mark.parametrize("codec", ["webp", "avif"])
def test_hosts_take_a_file_without_a_quality_for_the_same(
    codec: str, photo: Photo, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{codec}"
    photo(size=(80, 72)).save(path, quality=QUALITIES[codec])
    with Image.open(path, formats=[f"ENHANCED-{codec.upper()}"]) as image:
        assert np.array_equal(iio.imread(path, plugin="gesso", enhance=True), image)


@pytest.mark.parametrize("codec", QUALITIES)
def test_files_of_prepared_pictures_are_the_same(
    codec: str, preprocessor: str, photo: Photo
) -> None:
    image, quality = photo(size=(80, 72)), QUALITIES[codec]
    wish = PreprocessOptions(preprocessor, seed=3, guard=False)
    core, pillow, plain = io.BytesIO(), io.BytesIO(), io.BytesIO()
    settings: Any = {"seed": 3, "guard": False, "model": preprocessor}
    gesso.preprocess(image, codec, quality, **settings).save(core, codec, quality=quality)
    image.save(pillow, codec, quality=quality, preprocess=wish)
    image.save(plain, codec, quality=quality)
    settings = {"extension": f".{codec}", "quality": quality, "preprocess": wish}
    written = iio.imwrite("<bytes>", np.asarray(image), plugin="gesso", **settings)
    assert core.getvalue() == pillow.getvalue() == written
    assert written != plain.getvalue()
