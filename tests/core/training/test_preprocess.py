"""Tuning a preprocessor: attention alone moves, the cost falls, it resumes and goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.generator import is_tuned, read_network
from gesso.runtime import Runtime
from gesso.training.preprocess import PreprocessConfig, PreprocessTrainer, train_preprocess
from gesso.training.prior import PriorConfig, train_prior

CPU = Runtime("cpu")
NETWORK = {"channels": (8, 16), "window": 4, "embedding": 16, "blocks": 1}
missing = missing_lpips_alex() or missing_dists()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreprocessConfig:
    monkeypatch.setattr("gesso.training.preprocess.MEASURED", 2)
    (tmp_path / "data").mkdir()
    Image.fromarray(data.astronaut()[:256, 128:384]).save(tmp_path / "data" / "one.png")
    return PreprocessConfig(
        data=str(tmp_path / "data"), out=str(tmp_path / "run"), steps=4, batch=2, crop=64,
        warmup=1, every=2, ema=0.9, codecs=("jpeg",), network=NETWORK,
    )  # fmt: skip


@pytest.fixture
def base(config: PreprocessConfig, tmp_path: Path) -> Path:
    prior = PriorConfig(
        config.data, str(tmp_path / "base"), steps=2, batch=2, crop=64, network=NETWORK
    )
    return train_prior(prior, CPU)


def tuned(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "attention.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_every_tensor_but_attention_s_stays_bit_for_bit(
    config: PreprocessConfig, base: Path
) -> None:
    model = train_preprocess(config, CPU, start=base)
    whole = read_network(ModelCard.read(model)).state_dict()
    before = load_file(base / "diffusion_pytorch_model.safetensors")
    kept = {k: v for k, v in whole.items() if not is_tuned(k)}
    assert same(kept, {k: v.float() for k, v in before.items() if not is_tuned(k)})
    moved = [k for k, v in tuned(model).items() if k in before and not torch.equal(v, before[k])]
    assert moved and all(map(is_tuned, tuned(model)))


def test_the_cost_falls(config: PreprocessConfig, tiny_folder: Path) -> None:
    """From a network whose layers all take part, on one batch."""
    network = {key: value for key, value in NETWORK.items() if key != "blocks"}
    fast = replace(config, steps=100, lr=2e-3, anneal=0.0, network=network)
    trainer = PreprocessTrainer(fast, CPU)
    trainer.start_from(tiny_folder)
    trainer.read()
    batch = trainer.draw()

    def cost() -> float:
        # The same pictures are without a class every time.
        trainer.noise.manual_seed(0)
        return float(trainer.loss(*batch)[1].mean())

    first = cost()
    for _ in range(30):
        trainer.update(*batch)
    assert cost() < 0.97 * first


def test_the_rate_s_weight_rises(config: PreprocessConfig) -> None:
    trainer = PreprocessTrainer(replace(config, steps=100, anneal=0.2, rate=2.0), CPU)
    seen = []
    for trainer.step in (0, 10, 20, 99):
        seen.append(trainer.weight)
    assert seen == [0.0, 1.0, 2.0, 2.0]


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    config: PreprocessConfig, base: Path, tmp_path: Path
) -> None:
    whole = train_preprocess(config, CPU, start=base)
    broken = replace(config, out=str(tmp_path / "broken"))
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train_preprocess(broken, CPU, start=base, stop=lambda: next(asked))
    again = train_preprocess(broken, CPU)
    assert same(tuned(whole), tuned(again))
    assert ModelCard.read(again).settings == ModelCard.read(whole).settings


def test_real_codings_choose_the_weights(config: PreprocessConfig, base: Path) -> None:
    card = ModelCard.read(train_preprocess(replace(config, val=config.data), CPU, start=base))
    figures = card.figures["training"]["validation"]
    assert set(figures) == {
        f"jpeg {quality} {what}" for quality in (10, 40) for what in ("bits", "distance", "cost")
    }
    costs = [value for key, value in figures.items() if key.endswith("cost")]
    assert card.figures["training"]["score"] == pytest.approx(-sum(costs) / 2, abs=1e-3)
    assert (card.role, card.settings["codecs"]) == ("preprocessor", ["jpeg"])


def test_it_goes_on_from_a_preprocessor(
    config: PreprocessConfig, base: Path, tmp_path: Path
) -> None:
    first = train_preprocess(config, CPU, start=base)
    still = replace(config, out=str(tmp_path / "on"), lr=0.0, weight_decay=0.0)
    second = train_preprocess(still, CPU, start=first)
    assert same(tuned(first), tuned(second))
    other = replace(still, out=str(tmp_path / "other"), codecs=("jpeg", "webp"))
    with pytest.raises(InputError, match="knows the codecs jpeg"):
        train_preprocess(other, CPU, start=first)


def test_without_a_model_or_a_gradient(
    config: PreprocessConfig, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="--from"):
        train_preprocess(config, CPU)
    monkeypatch.delattr("gesso.codec.PillowCodec.surrogate")
    with pytest.raises(InputError, match="webp has no gradient"):
        train_preprocess(replace(config, codecs=("webp",)), CPU, start=base)
