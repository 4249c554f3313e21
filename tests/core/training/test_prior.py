"""Training the prior: it learns, it resumes bit for bit, it exports a diffusers model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.runtime import Runtime
from gesso.training.prior import PriorConfig, PriorTrainer, train_prior

CPU = Runtime("cpu")
NETWORK = {"channels": (8, 16), "window": 4, "embedding": 16, "blocks": 1}


@pytest.fixture
def config(tmp_path: Path) -> PriorConfig:
    (tmp_path / "data").mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()[:280, :300]).save(tmp_path / "data" / f"{name}.png")
    folder = str(tmp_path / "data")
    return PriorConfig(
        data=folder, val=folder, out=str(tmp_path / "run"), steps=12, batch=2, crop=32,
        warmup=2, every=6, lr=3e-3, ema=0.9, network=NETWORK,
    )  # fmt: skip


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "diffusion_pytorch_model.safetensors")


def log_of(config: PriorConfig) -> list[dict[str, Any]]:
    lines = (Path(config.out) / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_to_denoise(config: PriorConfig) -> None:
    train_prior(replace(config, steps=160, every=40, val=None), CPU)
    losses = [record["loss"] for record in log_of(config)]
    # An untrained network, which predicts nothing, has unit loss.
    assert losses[-1] < 0.93 < losses[0]


def test_a_run_is_reproducible(config: PriorConfig, tmp_path: Path) -> None:
    a = train_prior(config, CPU)
    b = train_prior(replace(config, out=str(tmp_path / "again")), CPU)
    c = train_prior(replace(config, out=str(tmp_path / "other"), seed=1), CPU)
    assert same(weights(a), weights(b))
    assert not same(weights(a), weights(c))


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    config: PriorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_prior(config, CPU)
    broken = replace(config, out=str(tmp_path / "broken"))
    update = PriorTrainer.update

    def killed(self: PriorTrainer, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.step == 8:
            raise KeyboardInterrupt
        return update(self, clean)

    monkeypatch.setattr(PriorTrainer, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        train_prior(broken, CPU)
    monkeypatch.undo()
    assert [record["step"] for record in log_of(broken)] == [6]
    assert same(weights(whole), weights(train_prior(broken, CPU)))


def test_the_log_tells_loss_and_psnr_per_sigma(config: PriorConfig) -> None:
    records: list[dict[str, object]] = []
    train_prior(config, CPU, log=records.append)
    written = log_of(config)
    assert [r["step"] for r in written] == [6, 12]
    assert set(written[-1]["validation"]) == {"0.02", "0.05", "0.1", "0.2", "0.4"}
    assert sum(written[-1]["loss_per_sigma"].values()) > 0
    assert records[-1]["step"] == 12


def test_the_model_is_half_precision_safetensors(config: PriorConfig) -> None:
    model = train_prior(config, CPU)
    assert sorted(p.name for p in model.iterdir()) == [
        "card.json",
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    assert {t.dtype for t in weights(model).values()} == {torch.float16}


def test_the_card_tells_how_to_train_it_again(config: PriorConfig) -> None:
    card = ModelCard.read(train_prior(replace(config, about="two photographs", seed=3), CPU))
    card.verify()
    assert (card.name, card.role, card.data, card.seed) == ("prior", "prior", "two photographs", 3)
    assert "gesso train prior data --val data --steps 12 --batch 2 --crop 32" in card.recipe
    assert "--seed 3 --channels 8,16 --window 4" in card.recipe
    assert card.figures["training"]["step"] in (6, 12)
    assert card.make(CPU).grid == 16


def test_training_goes_on_from_shipped_weights(config: PriorConfig, tmp_path: Path) -> None:
    first = train_prior(config, CPU)
    onward = replace(config, out=str(tmp_path / "onward"), steps=1, lr=0.0, weight_decay=0.0)
    assert same(weights(first), weights(train_prior(onward, CPU, start=first)))


def test_weights_that_are_never_better_are_not_kept(
    config: PriorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([30.0, 20.0])
    monkeypatch.setattr(PriorTrainer, "validate", lambda *_: {"0.1": next(scores)})
    exported: list[int] = []
    monkeypatch.setattr(PriorTrainer, "export", lambda self, *_: exported.append(self.step))
    train_prior(config, CPU)
    assert exported == [6]


def test_the_rate_rises_stays_and_falls() -> None:
    config = PriorConfig("d", "o", steps=1000, warmup=100, cooldown=0.3, lr=1.0)
    rates = [config.learning_rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01) and rates[99] == rates[650] == 1.0
    assert rates[850] == pytest.approx(0.5) and rates[999] < 0.01


def test_bad_settings_and_checkpoints_raise(config: PriorConfig) -> None:
    with pytest.raises(InputError, match="multiple of 16"):
        train_prior(replace(config, crop=40), CPU)
    checkpoint = Path(config.out) / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.safetensors").write_bytes(b"garbage")
    with pytest.raises(InputError, match="is not a checkpoint"):
        train_prior(config, CPU)


def test_a_poisoned_batch_does_no_harm(config: PriorConfig) -> None:
    trainer = PriorTrainer(config, CPU)
    trainer.update(torch.full((2, 3, 32, 32), float("nan")))
    assert all(bool(torch.isfinite(t).all()) for t in trainer.average.values())
    assert all(bool(torch.isfinite(p).all()) for p in trainer.network.parameters())
