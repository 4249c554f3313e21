"""The network and its preconditioning: diffusers' format, no statistics over space."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gesso.denoiser import EDMDenoiser, edm_scalings
from gesso.unet import WindowUNet


@pytest.fixture(scope="module")
def network(tiny_folder: Path) -> WindowUNet:
    return WindowUNet.from_pretrained(
        str(tiny_folder), local_files_only=True, low_cpu_mem_usage=False
    ).eval()


def test_it_saves_and_loads_as_any_diffusers_model(network: WindowUNet, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["_class_name"] == "WindowUNet" and config["channels"] == [8, 16]
    again = WindowUNet.from_pretrained(
        str(tmp_path), local_files_only=True, low_cpu_mem_usage=False
    ).eval()
    x, level = torch.randn(1, 3, 32, 32), torch.tensor([-0.4])
    with torch.inference_mode():
        assert torch.equal(network(x, level), again(x, level))


def test_a_new_network_predicts_nothing() -> None:
    fresh = WindowUNet(channels=(8, 16), window=4)
    with torch.inference_mode():
        assert not fresh(torch.randn(1, 3, 32, 32), torch.tensor([-0.4])).any()


@pytest.mark.parametrize(
    ("config", "grid"),
    [
        ({"channels": (8, 16), "window": 4}, 16),
        ({"channels": (8, 16), "heads": 0}, 4),
        ({"channels": (8, 8, 8), "patch": 4, "window": 4}, 64),
    ],
)
def test_the_grid_is_what_the_network_needs(config: dict[str, object], grid: int) -> None:
    network = WindowUNet(**config)
    assert network.grid == grid
    with torch.inference_mode():
        network(torch.randn(1, 3, grid, 3 * grid), torch.tensor([-0.4]))


def test_far_away_pixels_have_no_say(network: WindowUNet) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 3, 64, 192, generator=generator)
    other = x.clone()
    other[..., 128:] = 9 * torch.randn(1, 3, 64, 64, generator=generator)
    with torch.inference_mode():
        level = torch.tensor([-0.4])
        a, b = network(x, level), network(other, level)
    torch.testing.assert_close(a[..., :64], b[..., :64], atol=1e-6, rtol=0)
    assert (a - b)[..., 128:].abs().max() > 0.1


def test_the_noise_level_matters(network: WindowUNet) -> None:
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        a, b = network(x, torch.tensor([-1.5])), network(x, torch.tensor([-0.2]))
    assert (a - b).abs().max() > 1e-3


def test_attention_alone_can_be_tuned(network: WindowUNet) -> None:
    names = {n.split(".")[-2] for n, _ in network.named_parameters() if ".attentions." in n}
    assert {"to_q", "to_k", "to_v"} <= names


def test_scalings_are_edms() -> None:
    sigma = torch.tensor([0.1, 0.5, 3.0], dtype=torch.float64)
    c_skip, c_out, c_in = edm_scalings(sigma, 0.5)
    # Unit variance in, and c_skip is the optimal linear estimate (Karras et al., App. B.6).
    torch.testing.assert_close(c_in.square() * (sigma**2 + 0.25), torch.ones(3).double())
    torch.testing.assert_close(c_skip, 0.25 / (sigma**2 + 0.25))
    torch.testing.assert_close(c_out.square(), c_skip * sigma**2)


def test_at_low_noise_the_denoiser_keeps_its_input(network: WindowUNet) -> None:
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        out = EDMDenoiser(network)(x, torch.tensor([0.002]))
    assert (out - x).abs().max() < 0.02
