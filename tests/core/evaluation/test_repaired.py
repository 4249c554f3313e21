"""Side latent: the latent codec's files, decoded plainly and with the repair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from skimage import data
from tests.core.conftest import own_autoencoder, tiny_network

from gesso import codec as codec_module
from gesso.cards import ModelCard, get_model
from gesso.codec import get_codec, register_codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.evaluate import evaluate, side_pipelines
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.repair import RepairOptions
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime

CPU = Runtime("cpu", "fp32", tile=64, overlap=32)


@pytest.fixture
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LatentCodec:
    monkeypatch.setattr(codec_module, "_registry", dict(codec_module._registry))
    register_codec(LATENT)
    own_autoencoder(tmp_path / "autoencoder")
    card = get_model(str(tmp_path / "autoencoder"), "autoencoder")
    tiny_network(in_channels=4, patch=1).save_pretrained(tmp_path / "prior")
    ModelCard(
        name="latent-prior",
        role="prior",
        factory="gesso.latent.prior:load_latent_prior",
        folder=tmp_path / "prior",
        weights="diffusion_pytorch_model.safetensors",
        sha256="",
        settings={
            "autoencoder": {"name": card.name, "sha256": card.sha256},
            "repair": {"steps": 2, "strength": 0.3, "start": 0.5},
        },
    ).write()
    return LatentCodec(card.name, prior=str(tmp_path / "prior"), runtime=CPU)


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(data.astronaut()[:80, :96])


def test_the_prior_s_card_says_how(codec: LatentCodec, picture: Image.Image) -> None:
    plain, gesso = side_pipelines(codec, "latent", None, CPU)
    coded = plain.code(picture, 32)
    assert coded.picture == codec.decode(coded.data)
    finished = gesso.finish(coded)
    assert finished.picture != coded.picture
    stated = RepairOptions(2, 0.3, 0.5)
    assert finished.picture == replace(codec, repair=stated).decode(coded.data)
    nothing = RepairOptions(strength=0, start=0)
    assert replace(codec, repair=nothing).decode(coded.data) == coded.picture


def test_a_report_of_both(codec: LatentCodec, picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "one.png")
    report = evaluate([tmp_path / "one.png"], codec, "latent", (16, 64), ["psnr"], None, CPU)
    assert list(report.variants) == ["plain", "gesso"]
    assert report.mean(16, "plain", "bpp") == report.mean(16, "gesso", "bpp")
    prior = get_model(codec.prior, "prior")
    assert report.settings["sha256"] == prior.sha256
    assert report.settings["autoencoder_sha256"] == get_model(codec.model, "autoencoder").sha256


def test_it_is_of_the_latent_codec_alone(codec: LatentCodec) -> None:
    with pytest.raises(InputError, match="side latent is of the latent codec, not of jpeg"):
        side_pipelines(get_codec("jpeg"), "latent")
    with pytest.raises(InputError, match="EnhanceOptions is not for side 'latent'"):
        side_pipelines(codec, "latent", EnhanceOptions())


def test_without_a_prior_it_says_how_to_get_one(codec: LatentCodec, picture: Image.Image) -> None:
    orphan = replace(codec, prior=None, repair=RepairOptions())
    with pytest.raises(ModelError, match="train prior --space latent"):
        orphan.decode(orphan.encode(picture, 16))
