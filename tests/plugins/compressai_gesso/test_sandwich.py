"""A learned codec between gesso: its bitstream is its own, its picture is gesso's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gesso
from compressai_gesso.architectures import class_of
from compressai_gesso.library import library
from compressai_gesso.sandwich import Sandwich, _level
from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from gesso.options import EnhanceOptions
from gesso.target import Target
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

ELIC = {"N": 16, "M": 24, "groups": [4, 4, 4, 12]}


def network(name: str = "bmshj2018-hyperprior", *widths: int, **keywords: Any) -> Any:
    torch.manual_seed(0)
    library("models")
    made = library("registry").MODELS[name](*(widths or () if keywords else (8, 12)), **keywords)
    made.update(force=True)
    return made.eval()


def pictures(height: int = 64, width: int = 128, batch: int = 1) -> Tensor:
    torch.manual_seed(1)
    small = torch.rand(batch, 3, height // 8 + 1, width // 8 + 1)
    return nn.functional.interpolate(small, (height, width), mode="bilinear")


class Noted:
    """A third party's wrapper, which sees every call and may change the answer."""

    def __init__(self) -> None:
        self.before: list[Target] = []
        self.after: list[Any] = []

    @hookimpl
    def gesso_before_encode(self, frame: Frame, target: Target) -> Frame:
        self.before.append(target)
        return frame.with_rgb(1 - frame.rgb)

    @hookimpl
    def gesso_after_decode(self, frame: Frame, target: Target, options: Any) -> Frame:
        self.after.append((target, options))
        return frame.with_rgb(frame.rgb / 2)


@pytest.fixture
def noted() -> Any:
    plugin = Noted()
    manager().register(plugin)
    yield plugin
    manager().unregister(plugin)


@pytest.mark.parametrize("name", ["bmshj2018-factorized", "mbt2018-mean", "mbt2018"])
@torch.no_grad()
def test_the_bitstream_is_the_base_model_s(name: str) -> None:
    base, x = network(name), pictures(batch=2)
    net = Sandwich(base, quality=3, enhance=False).eval()
    coded, expected = net.compress(x), base.compress(x)
    assert coded["strings"] == expected["strings"] and coded["shape"] == expected["shape"]
    x_hat = net.decompress(**coded)["x_hat"]
    assert torch.equal(x_hat, base.decompress(**expected)["x_hat"])
    out = net(x)
    assert torch.equal(out["x_hat"], base(x)["x_hat"])
    assert torch.equal(out["likelihoods"]["y"], base(x)["likelihoods"]["y"])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (65, 70), (64, 100)])
@torch.no_grad()
def test_any_size(height: int, width: int) -> None:
    for net in (
        Sandwich(network(), quality=3, enhance=False),
        Sandwich(network("elic2022-official", **ELIC), quality=3, enhance=False),
    ):
        net.eval()
        x = pictures(height, width, 2)
        padded = nn.functional.pad(x, (0, -width % 64, 0, -height % 64), mode="replicate")
        coded = net.compress(x)
        assert coded["strings"] == net.base.compress(padded)["strings"]
        assert net.decompress(coded["strings"], coded["shape"])["x_hat"].shape == x.shape
        assert net(x)["x_hat"].shape == x.shape
        # Through a file the size is lost, and the padding shows.
        plain = dict(coded["shape"]) if isinstance(coded["shape"], dict) else tuple(coded["shape"])
        assert net.decompress(coded["strings"], plain)["x_hat"].shape == padded.shape


@torch.no_grad()
def test_what_is_decoded_is_enhanced_as_the_core_does() -> None:
    base, x = network(), pictures(64, 64, 2)
    net = Sandwich(base, quality=3, codec="bmshj2018-hyperprior", seed=5).eval()
    coded = net.compress(x)
    plain = base.decompress(coded["strings"], coded["shape"])["x_hat"]
    shown = net.decompress(coded["strings"], coded["shape"])["x_hat"]
    for index in range(2):
        expected = gesso.enhance(plain[index], codec="bmshj2018-hyperprior", quality=3, seed=5)
        assert torch.equal(shown[index], expected)
    assert (shown - plain).abs().max() > 1 / 255
    again = Sandwich(base, quality=3, codec="bmshj2018-hyperprior", tradeoff=0.0).eval()
    assert torch.equal(again.decompress(**coded)["x_hat"], plain)


@torch.no_grad()
def test_third_parties_take_part_on_both_sides(noted: Noted) -> None:
    base, x = network(), pictures(80, 64, 2)
    net = Sandwich(base, quality=3, codec="mbt2018", preprocess="any", preset="medium").eval()
    coded = net.compress(x)
    inverse = Sandwich(base, enhance=False).eval().compress(1 - x)
    assert coded["strings"] == inverse["strings"]
    assert noted.before == [Target("mbt2018", 3)] * 2
    plain = Sandwich(base, enhance=False).eval().decompress(**inverse)["x_hat"]
    assert torch.equal(net.decompress(**coded)["x_hat"], plain / 2)
    assert [(target, options.preset) for target, options in noted.after] == [
        (Target("mbt2018", 3), "medium")
    ] * 2
    assert torch.equal(net(x)["x_hat"], base_forward(base, 1 - x) / 2)


def base_forward(base: Any, x: Tensor) -> Any:
    return Sandwich(base, enhance=False).eval()(x)["x_hat"].clamp(0, 1)


@torch.no_grad()
def test_where_nothing_states_the_quality_the_bits_do(noted: Noted) -> None:
    net = Sandwich(network()).eval()
    x = pictures(64, 64, 2)
    coded = net.compress(x)
    net.decompress(**coded)
    net(x)
    told = [target for target, _ in noted.after]
    assert [target.codec for target in told] == ["hyperprior"] * 4
    assert all(1 <= target.quality <= 3 for target in told)
    assert told[0].quality == pytest.approx(told[2].quality, abs=0.5)
    with pytest.raises(InputError, match="pass quality= or target= to preprocess"):
        Sandwich(network(), preprocess="any").eval().compress(x)
    given = Sandwich(network(), target=Target("hevc", 38.0)).eval()
    given.decompress(**coded)
    assert noted.after[-1][0] == Target("hevc", 38.0)


@torch.no_grad()
def test_dps_holds_to_the_file_through_the_right_weights_alone(noted: Noted) -> None:
    x, base = pictures(64, 64), network()
    wish = EnhanceOptions("prior", "slow")
    for genuine, sampler in ((True, None), (False, "sde")):
        net = Sandwich(base, quality=3, genuine=genuine, enhance=wish).eval()
        net.decompress(**net.compress(x))
        assert noted.after[-1][1].sampler == sampler
    net = Sandwich(base, quality=3, genuine=True)
    net.load_state_dict(base.state_dict())
    assert not net.constrained()


@torch.no_grad()
def test_variable_rate(noted: Noted) -> None:
    base = network("bmshj2018-hyperprior-vbr", 8, 12, vr_entbttlnck=True)
    net = class_of("bmshj2018-hyperprior-vbr").of(base).eval()
    x, scale = pictures(64, 64), torch.tensor(0.5)
    arguments = {"stage": 2, "s": 0, "inputscale": scale}
    coded = net.compress(x, **arguments)
    net.decompress(coded["strings"], coded["shape"], **arguments)
    base.update(force=True, scale=scale)
    assert coded["strings"] == base.compress(x, **arguments)["strings"]
    assert noted.after[-1][0] == Target("bmshj2018-hyperprior", 6)
    assert [_level(scale) for scale in (0.1, 0.27, 1.0)] == [1, 4, 8]
    net(x)
    assert noted.after[-1][0].quality == 2  # s = 1, the default


def test_state_dicts_go_in_and_out() -> None:
    net = class_of("bmshj2018-hyperprior")(8, 12, quality=4)
    net.update(force=True)
    kind = type(net)
    for state in (net.state_dict(), net.base.state_dict()):
        found = kind.from_state_dict(state, enhance=False)
        assert type(found.base) is type(net.base)
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                found.base.state_dict().values(), net.base.state_dict().values(), strict=True
            )
        )
        other = kind(8, 12, quality=1)
        other.load_state_dict(state)
        assert torch.equal(other.g_a[0].weight, net.g_a[0].weight)
    assert kind.from_state_dict(net.state_dict()).quality == 4
    assert kind.from_state_dict(net.base.state_dict()).quality is None
    assert kind.from_state_dict(net.base.state_dict(), quality=2).quality == 2


def test_a_preprocessor_s_weights_go_along() -> None:
    def made(**keywords: Any) -> Any:
        return class_of("bmshj2018-hyperprior")(8, 12, quality=2, **keywords)

    net, other = (made(preprocess=nn.Conv2d(3, 3, 1)) for _ in range(2))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.preprocessor.weight, net.preprocessor.weight)
    with pytest.raises(InputError, match="build the model with preprocess="):
        made().load_state_dict(net.state_dict())
    with pytest.raises(InputError, match="call its load_state_dict"):
        type(net).from_state_dict(net.state_dict())
    with pytest.raises(ModelError, match="must keep the shape"):
        made(preprocess=nn.MaxPool2d(2)).compress(pictures())


def test_it_moves_copies_and_pickles() -> None:
    net = class_of("mbt2018-mean")(8, 12, quality=2, preset="medium").eval()
    for found in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(found) is type(net) and found.enhance_options == net.enhance_options
        assert torch.equal(found.g_a[0].weight, net.g_a[0].weight)
    assert net.half().g_a[0].weight.dtype == torch.float16 and net.quality == 2
    assert net.to("meta").device.type == "meta"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = net.nonsense


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(3, 64, 64), r"\(B, 3, H, W\).*\(3, 64, 64\)"),
        (torch.zeros(1, 1, 64, 64), r"\(1, 1, 64, 64\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "divide by 255"),
        ("picture.png", "got str"),
    ],
)
def test_what_is_no_picture(x: Any, said: str) -> None:
    net = Sandwich(network(), quality=3)
    for call in (net, net.compress):
        with pytest.raises(InputError, match=said):
            call(x)


def test_no_such_codec_or_quality() -> None:
    with pytest.raises(InputError, match="no codec named 'vvd'"):
        Sandwich(network(), quality=3, codec="vvd")
    with pytest.raises(InputError, match=r"outside mbt2018's range \[1, 8\]"):
        Sandwich(network(), quality=9)


def test_training_reaches_the_network_and_the_preprocessor() -> None:
    torch.manual_seed(2)
    preprocessor = nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate")
    nn.init.dirac_(preprocessor.weight)
    net = class_of("bmshj2018-hyperprior")(8, 12, quality=3, preprocess=preprocessor).train()
    x = pictures(64, 64, 2)
    rate_distortion = library("losses").RateDistortionLoss(lmbda=0.01)
    optimiser = torch.optim.Adam(
        [p for name, p in net.named_parameters() if not name.endswith("quantiles")], 1e-3
    )
    losses = []
    for step in range(12):
        optimiser.zero_grad()
        loss = rate_distortion(net(x), x)["loss"]
        loss.backward()
        if step == 0:
            assert preprocessor.weight.grad is not None and preprocessor.weight.grad.abs().max() > 0
            assert net.g_a[0].weight.grad.abs().max() > 0
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    net.aux_loss().backward()
    assert net.entropy_bottleneck.quantiles.grad.abs().max() > 0
    assert net.update(force=True)
