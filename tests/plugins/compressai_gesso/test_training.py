"""Training the hyperprior: it learns, it goes on bit for bit, and it changes its rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from compressai_gesso.codecs import Hyperprior
from compressai_gesso.muon import MuonAdam, orthogonal
from compressai_gesso.networks import load_hyperprior, new_hyperprior, rescale
from compressai_gesso.recipe import LAMBDAS, HyperpriorConfig
from compressai_gesso.training import HyperpriorTrainer, train_hyperprior
from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()[:270, 40:320]).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> HyperpriorConfig:
    return HyperpriorConfig(
        str(folder), str(tmp_path / "run"), str(folder), steps=8, batch=2, crop=64, warmup=2,
        every=4, seed=5, channels=8, latents=12,
    )  # fmt: skip


def test_it_learns_and_the_model_is_a_codec(config: HyperpriorConfig, photo: Image.Image) -> None:
    records: list[dict[str, Any]] = []
    config = replace(config, steps=120, every=40, lr=3e-3, warmup=10, ema=0.9)
    model = train_hyperprior(config, FP32, log=records.append)
    full = [record for record in records if "validation" in record]
    assert [record["step"] for record in full] == [40, 80, 120]
    assert full[-1]["validation"]["loss"] < 0.5 * full[0]["validation"]["loss"]
    assert full[-1]["loss"] < 0.5 * full[0]["loss"]
    lines = (Path(config.out) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == full
    card = ModelCard.read(model)
    assert (card.name, card.role, card.seed) == ("hyperprior-2", "codec", 5)
    assert card.figures["training"] == full[-1]
    model.rename(model.with_name("hyperprior-2"))
    codec = Hyperprior(folder=str(model.parent))
    decoded = codec.decode(codec.encode(photo, 2))
    error = np.square(np.asarray(decoded, float) - np.asarray(photo, float)).mean()
    assert error < np.asarray(photo, float).var((0, 1)).mean()


def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(config: HyperpriorConfig) -> None:
    whole = train_hyperprior(config, FP32)
    broken = replace(config, out=config.out + "-broken")
    calls = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train_hyperprior(broken, FP32, stop=lambda: next(calls))
    state = json.loads((Path(broken.out) / "checkpoint" / "state.json").read_text())
    assert state["step"] == 3
    again = train_hyperprior(broken, FP32)
    for name in ("model.safetensors", "card.json"):
        # The card also tells the speed.
        one, other = ((place / name).read_bytes() for place in (whole, again))
        if name == "card.json":
            one, other = (json.dumps(_timeless(json.loads(text))).encode() for text in (one, other))
        assert one == other


def _timeless(card: dict[str, Any]) -> dict[str, Any]:
    return {**card, "figures": {**card["figures"]["training"], "pictures_per_second": 0, "loss": 0,
                                "bpp": 0, "psnr": 0}}  # fmt: skip


def test_the_loss_is_compressai_s(
    config: HyperpriorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rounding in place of noise, the likelihoods are those of the network itself."""
    trainer = HyperpriorTrainer(config, FP32)
    bottleneck = trainer.network.entropy_bottleneck
    medians = bottleneck.quantiles[:, 0, 1].detach()[None, :, None, None]

    def rounded(values: torch.Tensor) -> torch.Tensor:
        around = medians if values.shape[1] == 8 else 0.0
        return torch.round(values - around) + around

    monkeypatch.setattr(trainer, "_blurred", rounded)
    x = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rebuilt, bpp = trainer.forward(x)
        out = trainer.network.eval()(x)
    expected = sum(-p.log2().sum((1, 2, 3)) for p in out["likelihoods"].values()) / (64 * 128)
    assert torch.allclose(bpp, expected, rtol=1e-4)
    assert torch.allclose(rebuilt, out["x_hat"], atol=1e-5)


def test_another_lambda_begins_with_another_step_size(
    config: HyperpriorConfig, tmp_path: Path
) -> None:
    first = HyperpriorTrainer(config, FP32)
    first.export(tmp_path / "model", {})
    second = HyperpriorTrainer(replace(config, quality=1), FP32)
    second.start_from(tmp_path / "model")
    gain = (LAMBDAS[1] / LAMBDAS[2]) ** 0.5
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        one, other = first.network.g_a(x), second.network.g_a(x)
        # Weights are stored in half precision.
        assert torch.allclose(other, gain * one, rtol=0.01, atol=0.01)
        assert torch.allclose(second.network.g_s(other), first.network.g_s(one), atol=0.01)
    second.export(tmp_path / "second", {})
    recipe = ModelCard.read(tmp_path / "second").recipe
    data = Path(config.data).name
    assert recipe.startswith(f"gesso train hyperprior {data} --from model --val {data} --quality 1")


def test_rescaling_changes_nothing_but_the_latents() -> None:
    torch.manual_seed(0)
    network = new_hyperprior(8, 12)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        latent = network.g_a(x)
        hyper = network.h_a(latent.abs())
        scales, picture = network.h_s(hyper), network.g_s(latent)
        rescale(network, 3.0)
        assert torch.allclose(network.g_a(x), 3 * latent, atol=1e-5)
        assert torch.allclose(network.h_a(3 * latent.abs()), hyper, atol=1e-5)
        assert torch.allclose(network.h_s(hyper), 3 * scales, atol=1e-5)
        assert torch.allclose(network.g_s(3 * latent), picture, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 100), (100, 8)])
def test_muon_s_turn_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix @ torch.diag(torch.logspace(-1, 1, shape[1]))))
    assert float(values.min()) > 0.5 and float(values.max()) < 1.3


def test_adam_s_share_of_the_optimiser_is_adam() -> None:
    torch.manual_seed(0)
    start = torch.randn(5)
    mine, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    matrix = torch.nn.Parameter(torch.randn(4, 6))
    mixed, adam = MuonAdam([matrix], [mine], []), torch.optim.Adam([theirs])
    for _ in range(3):
        for parameter in (mine, theirs):
            parameter.grad = parameter.detach() * 2
        matrix.grad = torch.ones_like(matrix)
        mixed.step()
        adam.step()
    assert torch.equal(mine, theirs)


def test_bad_input_is_named(config: HyperpriorConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--crop must be a multiple of 64, got 72"):
        replace(config, crop=72)
    with pytest.raises(InputError, match="quality must be 1 to 4, got 5"):
        replace(config, quality=5)
    with pytest.raises(InputError, match="no picture is at least 512"):
        train_hyperprior(replace(config, crop=512), FP32)
    with pytest.raises(InputError, match="cannot begin from"):
        train_hyperprior(config, FP32, start=tmp_path)
    train_hyperprior(replace(config, steps=1), FP32)
    with pytest.raises(InputError, match="is of another network"):
        train_hyperprior(replace(config, latents=16), FP32)


def test_weights_of_another_network_are_refused(config: HyperpriorConfig, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from gesso.errors import ModelError

    HyperpriorTrainer(config, FP32).export(tmp_path, {})
    card = ModelCard.read(tmp_path)
    weights = load_file(card.path)
    weights.pop("h_s.4.bias")
    save_file(weights, card.path)
    card.write()
    with pytest.raises(ModelError, match=r"not in both: h_s\.4\.bias"):
        load_hyperprior(ModelCard.read(tmp_path))
