"""JPEG and its kind with CompressAI's interface: whole files, and gesso's pixels."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import gesso
from compressai_gesso.architectures import class_of
from compressai_gesso.files import FileModel, image_of, tensor_of
from compressai_gesso.library import library
from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.target import Target
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager


@pytest.fixture(scope="module")
def x(photo: Image.Image) -> Tensor:
    return tensor_of(photo.crop((0, 0, 93, 75)))


def test_a_picture_there_and_back(photo: Image.Image) -> None:
    assert np.array_equal(np.asarray(image_of(tensor_of(photo)[0])), np.asarray(photo))


@pytest.mark.parametrize(("codec", "quality"), [("jpeg", 30), ("webp", 20), ("avif", 30)])
def test_strings_are_the_very_files(codec: str, quality: int, x: Tensor) -> None:
    """No padding: a picture takes the bytes that it takes everywhere."""
    net = FileModel(codec, quality, enhance=False).eval()
    coded = net.compress(torch.cat([x, 1 - x]))
    assert coded["shape"] == (75, 93)
    [files] = coded["strings"]
    assert files[0] == get_codec(codec).encode(image_of(x[0]), quality)
    x_hat = net.decompress(coded["strings"], coded["shape"])["x_hat"]
    expected = [tensor_of(get_codec(codec).decode(data)) for data in files]
    assert torch.equal(x_hat, torch.cat(expected))


def test_the_core_and_compressai_show_the_same_pixels(x: Tensor) -> None:
    for keywords in ({"seed": 3}, {"preset": "medium", "tradeoff": 0.5}):
        net = FileModel("jpeg", 30, **keywords).eval()
        coded = net.compress(torch.cat([1 - x, x]))
        shown = net.decompress(coded["strings"], coded["shape"])["x_hat"]
        for data, found in zip(coded["strings"][0], shown, strict=True):
            with Image.open(io.BytesIO(data)) as image:
                expected = gesso.enhance(image, **keywords)
            assert np.array_equal(np.asarray(image_of(found)), np.asarray(expected))
    net = FileModel("webp", 20).eval()
    coded = net.compress(x)
    expected = gesso.enhance(get_codec("webp").decode(coded["strings"][0][0]), "webp", 20)
    shown = net.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert np.array_equal(np.asarray(image_of(shown[0])), np.asarray(expected))


def test_hooks_see_8_bits_and_the_target(x: Tensor) -> None:
    class Noted:
        seen: list[tuple[torch.dtype, Target]] = []  # noqa: RUF012

        @hookimpl
        def gesso_before_encode(self, frame: Frame, target: Target) -> Frame:
            self.seen.append((frame.samples.dtype, target))
            return frame.with_rgb(1 - frame.rgb)

    plugin = Noted()
    manager().register(plugin)
    try:
        net = FileModel("jpeg", 30, preprocess="any", enhance=False)
        data = net.compress(x)["strings"][0][0]
    finally:
        manager().unregister(plugin)
    assert plugin.seen == [(torch.uint8, Target("jpeg", 30))]
    assert data == get_codec("jpeg").encode(image_of(1 - x[0]), 30)


def test_likelihoods_add_up_to_the_files(x: Tensor) -> None:
    net = FileModel("jpeg", 30, enhance=False).eval()
    batch = torch.cat([x, x.mean((2, 3), keepdim=True).expand_as(x)])
    coded, out = net.compress(batch), net(batch)
    promised = out["likelihoods"]["file"].log2().neg().flatten(1).sum(1)
    assert promised.tolist() == pytest.approx([8 * len(f) for f in coded["strings"][0]], rel=1e-4)
    assert out["likelihoods"]["file"].shape == (2, 1, 75, 93)
    expected = net.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert torch.equal(out["x_hat"], expected)


def test_it_trains_a_preprocessor(x: Tensor) -> None:
    preprocessor = nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate")
    nn.init.dirac_(preprocessor.weight)
    with torch.no_grad():
        preprocessor.weight.mul_(0.8)
    net = FileModel("jpeg", 30, preprocess=preprocessor).train()
    loss_of = library("losses").RateDistortionLoss(lmbda=0.01)
    optimiser = torch.optim.Adam(preprocessor.parameters(), 3e-3)
    losses, bits = [], []
    for _ in range(10):
        optimiser.zero_grad()
        found = loss_of(net(x), x)
        found["loss"].backward()
        assert preprocessor.weight.grad is not None
        assert preprocessor.weight.grad.abs().max() > 0
        optimiser.step()
        losses.append(float(found["loss"].detach()))
        bits.append(float(found["bpp_loss"].detach()))
    assert losses[-1] < 0.9 * losses[0]
    # The rate it is trained on is that of the real file.
    real = 8 * len(net.eval().compress(x)["strings"][0][0]) / (75 * 93)
    assert bits[-1] == pytest.approx(real, rel=0.1)


def test_a_codec_without_gradient_is_named(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("gesso.codec.PillowCodec.surrogate")
    with pytest.raises(InputError, match=r"webp has no gradient.*gesso-jpeg or gesso-hevc"):
        FileModel("webp", 20).train()(x)


def test_bad_strings_are_refused(x: Tensor) -> None:
    net = FileModel("jpeg", 30, enhance=False)
    coded = net.compress(x)
    with pytest.raises(InputError, match="93 x 75 pixels, but shape says 96 x 128"):
        net.decompress(coded["strings"], (128, 96))
    with pytest.raises(InputError, match="no whole jpeg file"):
        net.decompress([[b"nonsense"]], (75, 93))
    for strings in ([], [[]], [[b""], [b""]]):
        with pytest.raises(InputError, match="one list of files"):
            net.decompress(strings, (75, 93))
    with pytest.raises(InputError, match="divide by 255"):
        net.compress((x * 255).byte())


def test_no_such_codec_or_quality() -> None:
    with pytest.raises(InputError, match="no codec named 'jpg'"):
        FileModel("jpg", 30)
    with pytest.raises(InputError, match=r"outside jpeg's range \[1, 100\]"):
        FileModel("jpeg", 0)


def test_checkpoints_copies_and_moves(x: Tensor) -> None:
    kind: Any = class_of("jpeg")
    net = kind(30, enhance=False)
    assert kind.from_state_dict(net.state_dict()).quality == 30
    other = kind(80)
    other.load_state_dict(net.state_dict())
    assert other.compress(x)["strings"] == net.compress(x)["strings"]
    with pytest.raises(InputError, match="no checkpoint of gesso-jpeg"):
        kind.from_state_dict({})
    for found in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert found.compress(x)["strings"] == net.compress(x)["strings"]
    assert not net.update(force=True) and float(net.aux_loss()) == 0
    assert net.downsampling_factor == 1
    half = net.half()
    coded = half.compress(x.half())
    assert coded["strings"] == kind(30).compress(x)["strings"]
    x_hat = half.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert x_hat.dtype == torch.float16 and math.isfinite(float(x_hat.sum()))
