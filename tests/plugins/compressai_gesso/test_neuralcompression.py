"""Models with NeuralCompression's interface, as MS-ILLM's are, in the same wrapper.

The package is not installed here: a small model with its methods stands for it.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gesso
from compressai_gesso.library import library
from compressai_gesso.neuralcompression import Translated
from compressai_gesso.sandwich import Sandwich


def hific() -> Any:
    """An untrained model that refuses what NeuralCompression's refuse."""

    class Hific(library("models").MeanScaleHyperprior):  # type: ignore[misc]  # untyped
        """Methods as of HiFiCAutoencoder, on one of CompressAI's networks."""

        factor, device_setting = 64, "forward"

        def update_tensor_devices(self, operation: str) -> None:
            assert operation in ("forward", "compress")
            if operation == "compress":
                self.update()
            self.device_setting = operation

        def forward(self, image: Tensor) -> Any:
            if self.device_setting != "forward":
                raise RuntimeError("Must call update_tensor_devices('forward')")
            out = super().forward(image)
            return SimpleNamespace(
                image=out["x_hat"],
                latent_likelihoods=out["likelihoods"]["y"],
                hyper_latent_likelihoods=out["likelihoods"]["z"],
            )

        def compress(self, image: Tensor, force_cpu: bool = True) -> Any:
            if self.device_setting != "compress" or force_cpu:
                raise ValueError("Some layers on GPU that should be on CPU")
            out = super().compress(image)
            size = tuple(image.shape[2:])
            return SimpleNamespace(
                latent_strings=out["strings"][0],
                hyper_latent_strings=out["strings"][1],
                image_size=size,
                padded_size=size,
            )

        def decompress(self, compressed_data: Any, force_cpu: bool = True) -> Tensor:
            if self.device_setting != "compress" or force_cpu:
                raise ValueError("Some layers on GPU that should be on CPU")
            height, width = compressed_data.padded_size
            strings = [compressed_data.latent_strings, compressed_data.hyper_latent_strings]
            out: Tensor = super().decompress(strings, (height // 64, width // 64))["x_hat"]
            return out[:, :, : compressed_data.image_size[0], : compressed_data.image_size[1]]

    torch.manual_seed(0)
    return Hific(8, 12)


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    small = torch.rand(2, 3, 10, 14)
    return nn.functional.interpolate(small, (70, 100), mode="bilinear")


@torch.no_grad()
def test_the_bitstream_is_the_model_s_own(x: Tensor) -> None:
    model = hific().eval()
    net = Sandwich(model, seed=5).eval()
    assert isinstance(net.base, Translated) and net.downsampling_factor == 64
    coded = net.compress(x)
    padded = nn.functional.pad(x, (0, 28, 0, 58), mode="replicate")
    expected = model.compress(padded, force_cpu=False)
    assert coded["strings"] == [expected.latent_strings, expected.hyper_latent_strings]
    plain = model.decompress(expected, force_cpu=False)[:, :, :70, :100].clamp(0, 1)
    stated = Sandwich(model, quality=2, seed=5).eval()
    shown = stated.decompress(**coded)["x_hat"]
    for index in range(2):
        again = gesso.enhance(plain[index], codec="mbt2018", quality=2, seed=5)
        assert torch.equal(shown[index], again)
    # Nothing states the rate: the bits do.
    assert net.decompress(**coded)["x_hat"].shape == x.shape
    assert not torch.equal(net.decompress(**coded)["x_hat"], plain)


def test_forward_and_coding_take_turns_and_gradients_pass(x: Tensor) -> None:
    model = hific()
    net = Sandwich(model, enhance=False)
    coded = net.compress(x)
    out = net(x)
    assert out["x_hat"].shape == x.shape
    (out["x_hat"].mean() - out["likelihoods"]["y"].log2().mean()).backward()
    assert model.g_a[0].weight.grad.abs().sum() > 0
    assert net.compress(x)["strings"] == coded["strings"]
    assert net.aux_loss() > 0 and net.update(force=True)


def test_checkpoints_have_the_model_s_own_names(x: Tensor) -> None:
    model = hific()
    net = Sandwich(model, quality=3)
    assert {f"base.{name}" for name in model.state_dict()} < net.state_dict().keys()
    other = Sandwich(copy.deepcopy(model), quality=1)
    with torch.no_grad():
        model.g_a[0].weight.add_(1)
    other.load_state_dict(net.state_dict())
    assert other.quality == 3
    assert torch.equal(other.base.model.g_a[0].weight, model.g_a[0].weight)
    with torch.no_grad():
        model.g_a[0].weight.add_(1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.base.model.g_a[0].weight, model.g_a[0].weight)
