"""Our own small weights under the name of a network whose stock ones are not here."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor

import compressai_gesso
import gesso
from compressai_gesso.codecs import HYPERPRIOR, ZOO_LAMBDAS
from compressai_gesso.library import library
from compressai_gesso.recipe import LAMBDAS
from compressai_gesso.substitutes import LEVELS
from gesso.errors import ModelError
from gesso.target import Target

NAME = "bmshj2018-hyperprior"
STAND_IN = "gesso's own stand in: the same architecture with N=64 and M=96, whose rates"
STOCK = f"{NAME}-4-de1b779c.pth.tar"


@pytest.fixture(scope="module")
def zoo() -> dict[str, Any]:
    compressai_gesso.register()
    models: dict[str, Any] = library("zoo").image_models
    return models


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    small = torch.rand(1, 3, 9, 17)
    return torch.nn.functional.interpolate(small, (70, 128), mode="bilinear")


def test_each_is_of_the_nearest_lambda() -> None:
    """No quality of the zoo's is served by weights of less than two thirds of its lambda."""
    assert LEVELS == {NAME: {1: 1, 2: 2, 4: 3, 6: 4}}
    for level, own in LEVELS[NAME].items():
        assert 2 / 3 - 1e-6 < LAMBDAS[own] / ZOO_LAMBDAS[level - 1] < 3 / 2


@pytest.mark.parametrize(("quality", "own"), [(1, 1), (4, 3), (6, 4)])
@torch.no_grad()
def test_the_entry_runs_where_there_are_no_stock_weights(
    quality: int, own: int, zoo: dict[str, Any], hub: Path, x: Tensor
) -> None:
    with pytest.warns(UserWarning) as caught:
        net = zoo[f"gesso-{NAME}"](quality, pretrained=True, seed=3).eval()
    [said] = {str(warning.message) for warning in caught}
    parts = ("not the published ones", "download=True", "checkpoint=", "GESSO_COMPRESSAI", str(hub))
    assert STAND_IN in said and all(part in said for part in parts)
    assert caught[0].filename == __file__
    assert type(net).__name__ == "GessoBmshj2018Hyperprior"
    assert type(net.base) is library("registry").MODELS[NAME]
    assert (net.quality, net.weights, net.genuine) == (quality, f"gesso's hyperprior-{own}", True)
    assert net.target == Target("hyperprior", own)
    # The strings are the base's, and the base is the hyperprior that ships.
    coded = net.compress(x)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 58), mode="replicate")
    expected = net.base.compress(padded)
    assert coded["strings"] == expected["strings"]
    shipped = zoo["gesso-hyperprior"](own, pretrained=True, seed=3).eval()
    assert shipped.compress(x)["strings"] == coded["strings"]
    plain = net.base.decompress(**expected)["x_hat"][:, :, :70]
    shown = net.decompress(**coded)["x_hat"]
    assert torch.equal(shown[0], gesso.enhance(plain[0], codec="hyperprior", quality=own, seed=3))
    assert (shown - plain).abs().max() > 1 / 255


def test_it_can_be_trained_on_and_comes_back(zoo: dict[str, Any], hub: Path) -> None:
    with pytest.warns(UserWarning, match=STAND_IN):
        net = zoo[f"gesso-{NAME}"](2, pretrained=True)
    assert net.training and all(each.requires_grad for each in net.base.parameters())
    again = type(net).from_state_dict(net.state_dict())
    assert (again.quality, again.weights, again.genuine) == (2, None, False)
    assert torch.equal(again.base.g_a[0].weight, net.base.g_a[0].weight)
    net.load_state_dict(again.state_dict())
    assert net.weights is None


def test_the_warning_is_the_same_for_every_quality(zoo: dict[str, Any], hub: Path) -> None:
    """So that Python says it once, whatever qualities a loop goes through."""
    with pytest.warns(UserWarning) as caught:
        for quality in (1, 2, 4, 6):
            zoo[f"gesso-{NAME}"](quality, pretrained=True)
    assert len(caught) == 4 and len({str(warning.message) for warning in caught}) == 1


@pytest.mark.parametrize(
    ("quality", "metric"), [(3, "mse"), (5, "mse"), (8, "mse"), (1, "ms-ssim")]
)
def test_what_has_no_substitute(quality: int, metric: str, zoo: dict[str, Any], hub: Path) -> None:
    with pytest.raises(ModelError) as caught:
        zoo[f"gesso-{NAME}"](quality, metric, pretrained=True)
    assert "the qualities 1, 2, 4 and 6 with metric 'mse' alone" in str(caught.value)
    assert f"{quality}-" in str(caught.value) and "GESSO_COMPRESSAI" in str(caught.value)
    with pytest.raises(ModelError) as other:
        zoo["gesso-mbt2018-mean"](quality, metric, pretrained=True)
    assert "stand in" not in str(other.value)


def test_stock_weights_come_first(zoo: dict[str, Any], hub: Path, tmp_path: Path) -> None:
    base = library("registry").MODELS[NAME](8, 12)
    base.update(force=True)
    torch.save(base.state_dict(), hub / STOCK)
    torch.save(base.state_dict(), tmp_path / "mine.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = zoo[f"gesso-{NAME}"](4, pretrained=True)
        mine = zoo[f"gesso-{NAME}"](1, pretrained=True, checkpoint=tmp_path / "mine.pth")
    assert (net.N, net.weights, net.target) == (8, STOCK, None)
    assert (mine.N, mine.weights, mine.genuine) == (8, "mine.pth", False)
    # A damaged file is said to be one, and nothing stands in for it.
    (hub / STOCK).write_bytes(b"no weights")
    with pytest.raises(ModelError, match="holds no weights"):
        zoo[f"gesso-{NAME}"](4, pretrained=True)


def test_compressai_s_own_entry_stays_what_it_is(
    zoo: dict[str, Any], hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = library("zoo.image")

    def fetch(url: str, **_: Any) -> Any:
        raise URLError(url)

    monkeypatch.setattr(image, "load_state_dict_from_url", fetch)
    assert zoo[NAME] is image.bmshj2018_hyperprior
    with pytest.raises(URLError):
        zoo[NAME](1, pretrained=True)
    with pytest.raises(URLError):
        zoo[f"gesso-{NAME}"](1, pretrained=True, download=True)
    assert zoo[NAME](1).N == 128
    assert HYPERPRIOR.name not in zoo
