"""The posterior mean's estimator: codecs are its classes, rates its levels, tiles no matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.core.conftest import tiny_network

from gesso.cards import ModelCard
from gesso.estimator import Estimator, estimate, labels_of, load_estimator, nominal_error
from gesso.frame import Frame
from gesso.runtime import Runtime
from gesso.target import Target

CPU = Runtime("cpu", "fp32")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    network = tiny_network(num_class_embeds=3)
    torch.nn.init.normal_(network.class_embedding.weight)  # type: ignore[union-attr]
    return Estimator(network.eval().requires_grad_(False), ["jpeg", "webp"])


def test_nominal_errors_rise_with_the_rate_index() -> None:
    assert nominal_error(30) < nominal_error(40) < nominal_error(50)
    # by as much per index at any rate, since steps of quantisation do so
    assert nominal_error(40) / nominal_error(30) == pytest.approx(
        nominal_error(50) / nominal_error(40)
    )


def test_classes_are_the_codecs_in_their_order_and_0_is_any_other() -> None:
    assert labels_of(["webp", "jpeg", "webp"]) == {"webp": 1, "jpeg": 2}


def test_codec_and_quality_both_decide(estimator: Estimator) -> None:
    decoded = torch.rand(2, 3, 32, 32) * 2 - 1
    one = estimator.of(decoded, Target("jpeg", 20))
    assert one.shape == decoded.shape
    assert not torch.allclose(one, estimator.of(decoded, Target("jpeg", 60)))
    assert not torch.allclose(one, estimator.of(decoded, Target("webp", 20)))


def test_an_unknown_codec_is_class_0(estimator: Estimator) -> None:
    decoded = torch.rand(1, 3, 32, 32) * 2 - 1
    target = Target("avif", 30)
    level = torch.tensor([nominal_error(target.qp)])
    expected = estimator(decoded, level, torch.zeros(1, dtype=torch.long))
    torch.testing.assert_close(estimator.of(decoded, target), expected)


@pytest.mark.parametrize("size", [(33, 50), (128, 192)])
def test_frames_of_any_size_keep_theirs(estimator: Estimator, size: tuple[int, int]) -> None:
    frame = Frame.of(torch.rand(3, *size))
    whole = estimate(frame, Target("jpeg", 20), estimator, CPU)
    assert whole.rgb.shape == frame.rgb.shape
    assert whole.rgb.min() >= 0 and whole.rgb.max() <= 1
    tiled = estimate(frame, Target("jpeg", 20), estimator, Runtime("cpu", "fp32", 64, 32))
    assert (whole.rgb - tiled.rgb).abs().mean() < 0.02


def test_a_card_gives_the_classes(tmp_path: Path, estimator: Estimator) -> None:
    estimator.network.save_pretrained(tmp_path)
    ModelCard(
        name="mine", role="estimator", factory="gesso.estimator:load_estimator", folder=tmp_path,
        weights="diffusion_pytorch_model.safetensors", sha256="",
        settings={"codecs": ["jpeg", "webp"]},
    ).write()  # fmt: skip
    loaded = load_estimator(ModelCard.read(tmp_path), CPU)
    decoded = torch.rand(1, 3, 32, 32) * 2 - 1
    target = Target("webp", 40)
    torch.testing.assert_close(loaded.of(decoded, target), estimator.of(decoded, target))
