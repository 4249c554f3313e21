"""The one-step preprocessor: what it is told, what it loads, how it tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data

from gesso import Frame, ModelError, PreprocessOptions, Runtime, Target, preprocess
from gesso.cards import ModelCard, register_model
from gesso.generator import (
    Generator,
    is_tuned,
    knows,
    load_generator,
    read_network,
    write_tuned,
)
from gesso.guard import guarded
from gesso.preprocessor import preprocess_frame
from gesso.unet import WindowUNet

CPU = Runtime("cpu", "fp32")
CODECS = ["jpeg", "hevc"]
PHOTO = np.ascontiguousarray(data.astronaut()[0:200, 100:260])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A preprocessor whose attention is random, on the tiny prior."""
    base = ModelCard.read(tiny_folder)
    conditions = {"num_codec_embeds": 3, "num_hint_channels": 3}
    config = {**WindowUNet.load_config(str(tiny_folder)), **conditions}
    torch.manual_seed(0)
    network = cast(WindowUNet, WindowUNet.from_config(config))
    for key, parameter in network.named_parameters():
        if is_tuned(key):
            torch.nn.init.normal_(parameter, std=0.2)
    place = tmp_path_factory.mktemp("tuned")
    card = ModelCard(
        name="tuned",
        role="preprocessor",
        factory="gesso.generator:load_preprocessor",
        folder=place,
        weights=write_tuned(network, place),
        sha256="",
        settings={"codecs": CODECS, "base": str(tiny_folder), "base_sha256": base.sha256},
    )
    card.write()
    return place


@pytest.fixture
def card(folder: Path) -> Iterator[ModelCard]:
    from gesso import cards

    card = ModelCard.read(folder)
    register_model(card)
    yield card
    cards._registry.pop("tuned")


def options(**given: Any) -> PreprocessOptions:
    return PreprocessOptions(model="tuned", **{"guard": False, **given})


def run(target: Target, **given: Any) -> torch.Tensor:
    return preprocess_frame(Frame.of(PHOTO), target, options(**given), CPU).rgb


def test_the_file_holds_attention_and_nothing_else(folder: Path, tiny_folder: Path) -> None:
    card = ModelCard.read(folder)
    assert all(map(is_tuned, load_file(card.path)))
    whole = read_network(card).state_dict()
    base = load_file(tiny_folder / "diffusion_pytorch_model.safetensors")
    for key, tensor in base.items():
        assert is_tuned(key) or torch.equal(whole[key], tensor)


def test_codec_and_rate_decide(card: ModelCard) -> None:
    one, two = run(Target("jpeg", 20)), run(Target("jpeg", 60))
    with pytest.warns(UserWarning, match="tuned for jpeg, hevc, not for webp; ") as seen:
        other = run(Target("webp", 20))
        run(Target("webp", 21))
    # One text for all qualities: by default Python shows it once.
    (said,) = {str(warning.message) for warning in seen}
    assert said.endswith("effort medium goes through the codec itself")
    assert not torch.equal(one, two) and not torch.equal(one, other)
    assert not torch.equal(one, Frame.of(PHOTO).rgb)
    assert torch.equal(one, run(Target("jpeg", 20)))


def test_it_sees_what_the_codec_takes_away(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_generator(card, CPU)
    assert generator.sees_decode
    source = torch.rand(1, 3, 64, 64) * 2 - 1
    qp, label = torch.tensor([35.0]), torch.tensor([1])
    blind = generator(source, qp, label)
    assert torch.equal(generator(source, qp, label, source), blind)
    seeing = generator(source, qp, label, source + 0.1)
    assert not torch.equal(seeing, blind) and torch.equal(generator(source, qp, label), blind)
    found = run(Target("jpeg", 20))
    monkeypatch.setattr("gesso.generator.through", lambda codec, picture, quality: (0, picture))
    lossless = run(Target("jpeg", 20))
    assert not torch.equal(found, lossless)


def test_each_picture_of_a_frame_has_its_own_decode(card: ModelCard) -> None:
    first, second = Frame.of(PHOTO).rgb, Frame.of(PHOTO[::-1].copy()).rgb
    both = Frame.of(torch.cat([first, second]))
    found = preprocess_frame(both, Target("jpeg", 20), options(), CPU).rgb
    alone = preprocess_frame(Frame.of(second), Target("jpeg", 20), options(), CPU).rgb
    torch.testing.assert_close(found[1:], alone, atol=1.01 / 255, rtol=0)


def test_what_it_was_tuned_for_is_known(card: ModelCard) -> None:
    names = ("jpeg", "hevc", "heic", "vvc", "webp", "avif", "somebody's")
    assert [knows(card, name) for name in names] == [True] * 6 + [False]
    assert not knows(replace(card, settings={"codecs": ["jpeg"]}), "webp")
    assert knows(replace(card, settings={}), "somebody's")


def test_codecs_without_a_class_go_by_their_like(card: ModelCard) -> None:
    generator = load_generator(card, CPU)
    names = ("jpeg", "hevc", "vvc", "webp", "avif", "somebody's")
    assert [generator.label_of(name) for name in names] == [1, 2, 2, 2, 2, 0]
    alone = Generator(read_network(card), ["jpeg"])
    assert alone.label_of("vvc") == 0


def test_beyond_the_rates_it_knows_the_nearest_is_used(card: ModelCard) -> None:
    with pytest.warns(UserWarning, match="not at 58.1; the nearest"):
        worst = run(Target("jpeg", 1))
    with pytest.warns(UserWarning, match="not at 57.5"):
        assert torch.equal(worst, run(Target("jpeg", 3)))


def test_tiles_meet_without_a_seam(card: ModelCard) -> None:
    frame = Frame.of(PHOTO)
    whole = preprocess_frame(frame, Target("jpeg", 20), options(), CPU)
    small = replace(CPU, tile=96, overlap=32)
    tiled = preprocess_frame(frame, Target("jpeg", 20), options(), small)
    assert float((whole.rgb - tiled.rgb).abs().max()) < 2 / 255


def test_strength_and_guard(card: ModelCard) -> None:
    full = run(Target("jpeg", 20)) - Frame.of(PHOTO).rgb
    half = run(Target("jpeg", 20), strength=0.5) - Frame.of(PHOTO).rgb
    torch.testing.assert_close(half, full / 2, atol=1.01 / 255, rtol=0)
    assert torch.equal(run(Target("jpeg", 20), strength=0.0), Frame.of(PHOTO).rgb)
    prepared = preprocess_frame(Frame.of(PHOTO), Target("jpeg", 20), options(), CPU)
    kept = guarded(Frame.of(PHOTO), prepared, Target("jpeg", 20))
    assert torch.equal(run(Target("jpeg", 20), guard=True), kept.rgb)


@pytest.mark.parametrize("shape", [(200, 160), (200, 160, 4)])
def test_size_mode_and_alpha_come_back(card: ModelCard, shape: tuple[int, ...]) -> None:
    picture = np.zeros(shape, np.uint8)
    picture[..., :] = PHOTO[..., :1].reshape(200, 160) if len(shape) == 2 else 0
    if len(shape) == 3:
        picture[..., :3], picture[..., 3] = PHOTO, PHOTO[..., 0]
    found = preprocess(picture, "jpeg", 30, guard=False, model="tuned", runtime=CPU)
    assert found.shape == picture.shape and found.dtype == np.uint8
    if len(shape) == 3:
        np.testing.assert_array_equal(found[..., 3], picture[..., 3])


def test_another_base_is_refused(folder: Path, tmp_path: Path) -> None:
    card = ModelCard.read(folder)
    other = replace(card, settings={**card.settings, "base_sha256": "0" * 64})
    with pytest.raises(ModelError, match="tuned on other weights"):
        load_generator(other, CPU)


def test_weights_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    card = ModelCard.read(folder)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file({"down.0.attentions.0.position": torch.zeros(1)}, tmp_path / card.weights)
    replace(card, folder=tmp_path).write()
    with pytest.raises(ModelError, match="do not fit their config"):
        load_generator(ModelCard.read(tmp_path), CPU)
