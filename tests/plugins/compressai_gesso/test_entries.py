"""The zoo's entries: names, qualities, metrics and weights, all on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import compressai_gesso
import compressai_gesso.entries as entries
from compressai_gesso.architectures import FILES, NETWORKS
from compressai_gesso.codecs import HYPERPRIOR, zoo_qp
from compressai_gesso.entries import quality_of_level
from compressai_gesso.library import library
from gesso.codec import get_codec
from gesso.errors import InputError, ModelError
from gesso.options import EnhanceOptions, PreprocessOptions

TINY = {"cheng2020-anchor": (8,), "cheng2020-attn": (8,)}


@pytest.fixture(scope="module")
def zoo() -> dict[str, Any]:
    compressai_gesso.register()
    models: dict[str, Any] = library("zoo").image_models
    return models


def test_the_table_of_qualities_is_what_the_docstring_says() -> None:
    assert entries.__doc__
    for codec in FILES:
        [line] = [line for line in entries.__doc__.splitlines() if line.strip().startswith(codec)]
        stated = [int(word) for word in line.split()[1:9]]
        assert [quality_of_level(codec, level) for level in range(1, 9)] == stated
        far = [abs(get_codec(codec).qp(q) - zoo_qp(i + 1)) for i, q in enumerate(stated)]
        # WebP's worst is a little better than the zoo's.
        assert max(far) < (1.2 if codec == "webp" else 0.6)


@pytest.mark.parametrize("quality", [0, 9, 2.0, True, "3"])
def test_no_such_quality(zoo: dict[str, Any], quality: Any) -> None:
    for name in ("gesso-jpeg", "gesso-mbt2018"):
        with pytest.raises(InputError, match="whole number from 1 to 8"):
            zoo[name](quality)
    with pytest.raises(ValueError, match="from 1 to 4"):
        zoo["gesso-hyperprior"](9)
    with pytest.raises(InputError, match="from 1 to 6"):
        zoo["gesso-cheng2020-attn"](quality=8)


def test_no_such_metric_or_keyword(zoo: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="gesso-jpeg has the metric mse, got 'ms-ssim'"):
        zoo["gesso-jpeg"](4, metric="ms-ssim")
    with pytest.raises(InputError, match="mse or ms-ssim"):
        zoo["gesso-mbt2018"](4, metric="vmaf")
    for name in ("gesso-jpeg", "gesso-hyperprior"):
        with pytest.raises(InputError, match="takes no presett; there are preprocess"):
            zoo[name](2, presett="fast")
    with pytest.raises(InputError, match="takes no presett"):
        zoo["gesso-mbt2018"](2, pretrained=True, presett="fast")


def test_each_side_can_be_switched(zoo: dict[str, Any]) -> None:
    net = zoo["gesso-jpeg"](quality=4)
    assert net.enhance_options == EnhanceOptions(preset="fast")
    assert net.preprocess_options is None
    assert net.quality == 36
    net = zoo["gesso-webp"](1, preprocess=PreprocessOptions(effort="max"), enhance=False)
    assert net.preprocess_options == PreprocessOptions(effort="max")
    assert net.enhance_options is None
    with compressai_gesso.using(preset="medium", enhance=True):
        assert zoo["gesso-jpeg"](4).enhance_options.preset == "medium"
        assert zoo["gesso-jpeg"](4, preset="slow").enhance_options.preset == "slow"


def test_every_network_of_the_zoo_has_an_entry(zoo: dict[str, Any]) -> None:
    for name in ("bmshj2018-factorized", "bmshj2018-factorized-relu", "mbt2018-mean-vbr"):
        net = zoo[f"gesso-{name}"](quality=1)
        stock = zoo[name](quality=1)
        assert type(net.base) is type(stock)
        assert net.base.state_dict().keys() == stock.state_dict().keys()
        assert net.codec == NETWORKS[name]
        assert net.quality == (None if name.endswith("-vbr") else 1)


def test_our_own_hyperprior_needs_nothing(zoo: dict[str, Any], tiny: Path, hub: Path) -> None:
    net = zoo["gesso-hyperprior"](quality=2, pretrained=True)
    expected = HYPERPRIOR.coder(2).network.state_dict()["g_a.0.weight"]
    assert torch.equal(net.base.g_a[0].weight, expected)
    assert net.genuine and net.training and net.base.g_a[0].weight.requires_grad
    blank = zoo["gesso-hyperprior"](quality=2)
    assert blank.N == net.N and not blank.genuine
    folder = zoo["gesso-hyperprior"](quality=2, checkpoint=tiny / "hyperprior-2")
    assert folder.N == 8 and not folder.genuine
    torch.save(folder.base.state_dict(), hub / "mine.pth")
    assert zoo["gesso-hyperprior"](quality=2, checkpoint=hub / "mine.pth").N == 8


def weights(name: str, widths: tuple[int, ...] = (8, 12), **keywords: Any) -> Any:
    network = library("registry").MODELS[name](*widths, **keywords)
    network.update(force=True)
    return network


def test_stock_weights_where_the_user_has_them(zoo: dict[str, Any], hub: Path) -> None:
    torch.save(weights("mbt2018-mean").state_dict(), hub / "mbt2018-mean-2-e54a039d.pth.tar")
    net = zoo["gesso-mbt2018-mean"](quality=2, pretrained=True)
    assert (net.N, net.quality, net.genuine) == (8, 2, True)
    name = "mbt2018-mean-ms-ssim-2-e2a1bf3f.pth.tar"
    torch.save(weights("mbt2018-mean").state_dict(), hub / name)
    assert not zoo["gesso-mbt2018-mean"](2, "ms-ssim", pretrained=True).genuine
    torch.save(
        weights("bmshj2018-factorized").state_dict(),
        hub / "bmshj2018-factorized-prior-1-446d5c7f.pth.tar",
    )
    assert zoo["gesso-bmshj2018-factorized-relu"](1, pretrained=True).N == 8
    for name, vr in (
        ("bmshj2018-hyperprior-mse-vbr-cddd26be", True),
        ("mbt2018-mse-vbr-f12581a1", False),
    ):
        base = "bmshj2018-hyperprior-vbr" if vr else "mbt2018-vbr"
        # Without tables: what CompressAI wrote of a network of variable rate it cannot read.
        kind = library("registry").MODELS[base]
        made = kind(8, 12, vr_entbttlnck=True) if vr else kind(8, 12)
        torch.save(made.state_dict(), hub / f"{name}.pth.tar")
        net = zoo[f"gesso-{base}"](quality=0, pretrained=True)
        assert net.N == 8 and getattr(net, "vr_entbttlnck", False) == vr


def test_nothing_is_fetched_unasked(
    zoo: dict[str, Any], hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, **_: Any) -> Any:
        raise ConnectionError(url)

    monkeypatch.setattr(library("zoo.image"), "load_state_dict_from_url", fetch)
    with pytest.raises(ModelError, match=r"mbt2018-3-22901978.*in the zoo: 'gesso-hyperprior'"):
        zoo["gesso-mbt2018"](quality=3, pretrained=True)
    with pytest.raises(ConnectionError, match="mbt2018-3-22901978"):
        zoo["gesso-mbt2018"](quality=3, pretrained=True, download=True)


def test_weights_that_nobody_has(zoo: dict[str, Any], hub: Path) -> None:
    with pytest.raises(InputError, match=r"'mbt2018-vbr' for metric 'ms-ssim'.*checkpoint="):
        zoo["gesso-mbt2018-vbr"](metric="ms-ssim", pretrained=True)
    with pytest.raises(InputError, match="no pretrained weights of 'elic2022-official'"):
        zoo["gesso-elic2022-official"](quality=3, pretrained=True)


def test_a_checkpoint_of_the_user_s(zoo: dict[str, Any], tmp_path: Path) -> None:
    base = weights("mbt2018-mean")
    torch.save({"network": base.state_dict(), "epoch": 3}, tmp_path / "mine.pth")
    net = zoo["gesso-mbt2018-mean"](quality=3, checkpoint=tmp_path / "mine.pth")
    assert torch.equal(net.base.g_a[0].weight, base.g_a[0].weight) and not net.genuine
    (tmp_path / "odd.pth").write_text("no checkpoint")
    with pytest.raises(ModelError, match=r"odd.pth holds no weights of 'mbt2018-mean'"):
        zoo["gesso-mbt2018-mean"](quality=3, checkpoint=tmp_path / "odd.pth")


def test_elic(zoo: dict[str, Any]) -> None:
    net = zoo["gesso-elic2022-official"](quality=3, N=16, M=24, groups=[4, 4, 4, 12])
    assert type(net.base).__name__ == "Elic2022Official"
    assert net.quality == 3
