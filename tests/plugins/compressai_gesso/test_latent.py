"""The latent codec with CompressAI's interface: the same files, repaired as asked."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from skimage import data as pictures
from torch import Tensor
from typer.testing import CliRunner

import compressai_gesso
from compressai_gesso.architectures import class_of
from compressai_gesso.files import image_of, tensor_of
from compressai_gesso.latent import ENTRIES
from compressai_gesso.library import library
from compressai_gesso.plugin import gesso_commands
from gesso.errors import InputError, ModelError
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.repair import RepairOptions
from gesso_cli.app import Guarded

REPAIR = RepairOptions(steps=2, strength=0.1)


@pytest.fixture
def zoo(latent: dict[str, Path]) -> Any:
    compressai_gesso.register()
    return library("zoo").image_models["gesso-latent"]


@pytest.fixture
def threads() -> Iterator[None]:
    """CompressAI's eval_model leaves one thread to whatever runs after it."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def x(photo: Image.Image) -> Tensor:
    return tensor_of(photo.crop((0, 0, 61, 43)))


def test_strings_are_the_very_files(zoo: Any, x: Tensor) -> None:
    for level, entries in enumerate(ENTRIES, 1):
        net = zoo(quality=level, pretrained=True, enhance=False).eval()
        coded = net.compress(torch.cat([x, 1 - x]))
        assert coded["shape"] == (43, 61) and net.quality == entries
        [files] = coded["strings"]
        assert files[0] == LATENT.encode(image_of(x[0]), entries)
        x_hat = net.decompress(coded["strings"], coded["shape"])["x_hat"]
        assert torch.equal(x_hat, torch.cat([tensor_of(LATENT.decode(data)) for data in files]))


def test_what_is_decoded_is_repaired_unless_told_otherwise(zoo: Any, x: Tensor) -> None:
    [[data]] = zoo(2).compress(x)["strings"]
    plain = tensor_of(LATENT.decode(data))
    for given, wish in ((True, RepairOptions()), (REPAIR, REPAIR)):
        shown = zoo(2, enhance=given).decompress([[data]], (43, 61))["x_hat"]
        assert torch.equal(shown, tensor_of(LatentCodec(repair=wish).decode(data)))
        assert not torch.equal(shown, plain)
    with compressai_gesso.using(enhance=False):
        assert torch.equal(zoo(2).decompress([[data]], (43, 61))["x_hat"], plain)


def test_likelihoods_add_up_to_the_file(zoo: Any, x: Tensor) -> None:
    net = zoo(3, enhance=False).eval()
    out = net(x)
    [[data]] = net.compress(x)["strings"]
    promised = out["likelihoods"]["file"].log2().neg().sum()
    assert float(promised) == pytest.approx(8 * len(data), rel=1e-4)
    assert torch.equal(out["x_hat"], tensor_of(LATENT.decode(data)))
    with pytest.raises(InputError, match="latent has no gradient to train with"):
        net.train()(x)


def test_options_are_the_codec_s(zoo: Any, x: Tensor, latent: dict[str, Path]) -> None:
    options: dict[str, Any] = {"palette": "kmeans", "dither": 1.0, "model": str(latent["other"])}
    [[data]] = zoo(1, **options).compress(x)["strings"]
    assert data == LatentCodec(**options).encode(image_of(x[0]), 16)
    [[data]] = zoo(2, refine=2).compress(x)["strings"]
    assert data == LatentCodec(refine=2).encode(image_of(x[0]), 32)


def test_what_it_does_not_take(zoo: Any) -> None:
    for quality in (0, 6, True, "1"):
        with pytest.raises(InputError, match="whole number from 1 to 5"):
            zoo(quality)
    with pytest.raises(InputError, match="gesso-latent has the metric mse, got 'ms-ssim'"):
        zoo(1, "ms-ssim")
    with pytest.raises(InputError, match="takes no presett; there are preprocess"):
        zoo(1, presett="fast")
    with pytest.raises(InputError, match="to which preset, seed do not apply"):
        zoo(1, preset="fast", seed=0)
    with pytest.raises(InputError, match="enhance must be True, False or a"):
        zoo(1, enhance="fast")


def test_checkpoints_copies_and_bad_strings(zoo: Any, x: Tensor) -> None:
    net = zoo(2, enhance=False)
    kind = class_of("latent")
    assert type(net) is kind and kind.__name__ == "GessoLatent"
    for found in (
        kind.from_state_dict(net.state_dict(), enhance=False),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
    ):
        assert found.compress(x)["strings"] == net.compress(x)["strings"]
    with pytest.raises(InputError, match=r"this is no \.gsl file"):
        net.decompress([[b"nonsense"]], (43, 61))


def test_compressai_s_own_programs(zoo: Any, threads: None, tmp_path: Path) -> None:
    picture = Image.fromarray(pictures.astronaut()[:164, :170])
    picture.save(tmp_path / "a.png")
    bpp = [8 * len(LATENT.encode(picture, entries)) / (164 * 170) for entries in (16, 64)]
    app = typer.Typer(cls=Guarded)
    gesso_commands(app)
    asked = ("eval_model", "pretrained", str(tmp_path), "-a", "gesso-latent", "-q", "1,3")
    result = CliRunner().invoke(app, ["compressai", "--no-enhance", *asked])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["results"]["bpp"] == pytest.approx(bpp)
    asked = ("bench", "gesso-latent", str(tmp_path), "-q", "16,64")
    result = CliRunner().invoke(app, ["compressai", "--no-enhance", *asked])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["results"]["bpp"] == pytest.approx(bpp)


def test_without_the_autoencoder_it_says_so(x: Tensor, no_autoencoder: Any) -> None:
    no_autoencoder()
    with pytest.raises(ModelError, match="no autoencoder named 'autoencoder'"):
        class_of("latent")(16).compress(x)
