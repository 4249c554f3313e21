"""im.filter(Enhance(...)): the core's enhancement, in Pillow's own way."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import gesso
import pillow_gesso
from gesso import cards
from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.options import EnhanceOptions
from gesso.target import Target
from gesso.unet import WindowUNet
from pillow_gesso import Enhance

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Inverted = Callable[[Image.Image], Image.Image]


@pytest.fixture
def prior(tmp_path: Path) -> Iterator[str]:
    """The name of a tiny prior with random weights."""
    torch.manual_seed(0)
    network = WindowUNet(channels=(8, 16), window=4, embedding=16)
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    network.save_pretrained(tmp_path)
    noise = {"jpeg": [[5, -1.3, 0.3, -2.0], [95, -2.8, 0.5, 1.4]]}
    card = ModelCard(
        name="tiny",
        role="prior",
        factory="gesso.denoiser:load_prior",
        folder=tmp_path,
        weights="diffusion_pytorch_model.safetensors",
        sha256="",
        settings={
            "noise": noise,
            "noise_scale": {"decoded": 1.5},
            "presets": {"fast": {"steps": 1}, "medium": {"steps": 1}},
        },
    )
    card.write()
    cards.register_model(ModelCard.read(tmp_path))
    yield "tiny"
    cards._registry.pop("tiny")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_filter_keeps_mode_size_info_and_alpha(
    mode: str, model: Any, photo: Photo, inverted: Inverted
) -> None:
    image = photo(mode)
    image.info["dpi"] = (72, 72)
    before = image.tobytes()
    result = image.filter(Enhance(codec="jpeg", quality=20))
    assert (result.mode, result.size, result.info) == (mode, image.size, image.info)
    assert result.tobytes() == inverted(image).tobytes()
    assert image.tobytes() == before
    assert model.asked == [(Target("jpeg", 20), EnhanceOptions())]


def test_options_reach_the_model(model: Any, photo: Photo) -> None:
    photo().filter(Enhance("slow", 0.5, "webp", 30, "mine", 7, 0.2, 3))
    assert model.asked == [(Target("webp", 30), EnhanceOptions("mine", "slow", 0.5, 7, 0.2, 3))]


@pytest.mark.parametrize("said", [Enhance, Enhance()])
def test_without_a_quality_the_traces_of_a_jpeg_tell_it(
    said: Any, model: Any, photo: Photo, encoded: Encoded
) -> None:
    with Image.open(io.BytesIO(encoded(photo(size=(200, 200)), "JPEG", quality=20))) as image:
        image.filter(said)
    [(target, _)] = model.asked
    assert target.codec == "jpeg"
    assert abs(target.quality - 20) <= 2
    with pytest.raises(InputError, match="cannot tell what this picture was coded with"):
        photo().filter(said)
    photo().filter(Enhance(sigma=0.1))
    photo().filter(Enhance(tradeoff=0))
    assert [target for target, _ in model.asked[1:]] == [None, None]


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "I;16", "I", "F", "YCbCr"])
def test_modes_that_cannot_be_treated_name_the_conversion(
    mode: str, model: Any, photo: Photo
) -> None:
    image = photo("L").convert(mode)
    with pytest.raises(InputError, match=f"mode {mode} is not one of RGB.*; first use "):
        image.filter(Enhance(sigma=0.1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codec": "jpeg"}, "codec and quality go together"),
        ({"quality": 30}, "codec and quality go together"),
        ({"codec": "unheard", "quality": 30}, "no codec named 'unheard'; there are"),
        ({"codec": "jpeg", "quality": 300}, "outside jpeg's range"),
        ({"preset": "best"}, "preset must be one of"),
        ({"tradeoff": 2}, "tradeoff must be a number"),
        ({"sigma": -1.0}, "sigma must be in"),
        ({"steps": 0}, "steps must be in"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_wrong_options_are_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Enhance(**wrong)


def test_every_way_in_gives_the_pixels_of_the_core(
    prior: str, photo: Photo, encoded: Encoded
) -> None:
    data = encoded(photo(size=(72, 56)), "JPEG", quality=20)
    enhance = Enhance(codec="jpeg", quality=20, model=prior, seed=5)
    with Image.open(io.BytesIO(data)) as image:
        expected = gesso.enhance(image, "jpeg", 20, model=prior, seed=5)
        # a filter is given the pixels alone, and not the file that they came from
        blind = gesso.enhance(image, "jpeg", 20, model=prior, seed=5, faithful=False)
        assert image.filter(enhance).tobytes() == blind.tobytes()
        assert len({image.tobytes(), expected.tobytes(), blind.tobytes()}) == 3
    pillow_gesso.register(enhance=Enhance(model=prior, seed=5))
    with Image.open(io.BytesIO(data), formats=["ENHANCED-JPEG"]) as image:
        assert image.tobytes() == expected.tobytes()
    with pillow_gesso.using(enhance=enhance), Image.open(io.BytesIO(data)) as image:
        assert image.tobytes() == expected.tobytes()
