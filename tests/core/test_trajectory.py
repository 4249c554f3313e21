"""Presets: which sampler goes, from where, and with how much noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.core.conftest import NOISE, tiny_network

from gesso import cards
from gesso.cards import ModelCard, register_model
from gesso.codec import get_codec
from gesso.enhancer import enhance_frame
from gesso.errors import InputError, ModelError
from gesso.estimator import estimate, load_estimator
from gesso.frame import Frame
from gesso.noise import softened
from gesso.options import EnhanceOptions, Sampler
from gesso.runtime import Runtime
from gesso.target import Target
from gesso.trajectory import Plan, sampler_of, travel

CPU = Runtime("cpu", "fp32")
TARGET = Target("jpeg", 20)


@pytest.fixture
def prior(tiny_folder: Path) -> Iterator[ModelCard]:
    """The tiny prior under another name, with all presets."""
    presets = {
        "fast": {"steps": 1, "sampler": "one-step"},
        "medium": {"steps": 2, "noise_scale": {"posterior_mean": {"hevc": 0.7, "jpeg": 0.5}}},
        "slow": {"steps": 3, "sampler": "dps"},
    }
    card = ModelCard.read(tiny_folder)
    settings = {**card.settings, "presets": presets}
    register_model(replace(card, name="presets", settings=settings))
    yield cards.get_model("presets", "prior")
    cards._registry.pop("presets")


@pytest.fixture
def estimator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelCard]:
    """An estimator, which is the default one for one test."""
    tiny_network(seed=2, num_class_embeds=2).save_pretrained(tmp_path)
    ModelCard(
        name="tiny-mean", role="estimator", factory="gesso.estimator:load_estimator",
        folder=tmp_path, weights="diffusion_pytorch_model.safetensors", sha256="",
        settings={"codecs": ["jpeg"], "noise": NOISE},
    ).write()  # fmt: skip
    monkeypatch.setitem(cards.DEFAULTS, "estimator", "tiny-mean")
    register_model(card := ModelCard.read(tmp_path))
    yield card
    cards._registry.pop("tiny-mean")


@pytest.fixture
def frame() -> Frame:
    torch.manual_seed(0)
    return Frame.of(torch.rand(3, 64, 64))


def go(frame: Frame, **options: object) -> torch.Tensor:
    return enhance_frame(frame, TARGET, EnhanceOptions("presets", **options), CPU).rgb  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("preset", "steps", "expected"),
    [({}, 15, "ode"), ({}, 16, "sde"), ({"sampler": "dps"}, 5, "dps"), ({}, 1, "ode")],
)
def test_the_number_of_evaluations_chooses_where_a_preset_does_not(
    preset: dict[str, str], steps: int, expected: str
) -> None:
    assert sampler_of(preset, steps) == expected


def test_an_unknown_sampler_is_the_card_s_fault() -> None:
    names = "one-step, multistep, ode, sde, dps"
    with pytest.raises(ModelError, match=f"no sampler 'euler'; there are {names}"):
        sampler_of({"sampler": "euler"}, 3)


def test_every_preset_gives_another_picture(prior: ModelCard, frame: Frame) -> None:
    found = [
        go(frame, preset=preset, posterior_mean=False) for preset in ("fast", "medium", "slow")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(found[one], found[other])


def test_slow_is_held_to_the_file(prior: ModelCard, frame: Frame) -> None:
    """The codec's constraint draws the result towards what decodes to the same picture."""
    codec = get_codec("jpeg").differentiable(20)  # type: ignore[attr-defined]
    observed = Frame.of(codec(frame.rgb)[0])
    free, held = (
        go(observed, preset="slow", posterior_mean=False, step_size=size) for size in (0.0, 0.5)
    )
    far, near = ((codec(x) - observed.rgb).square().mean() for x in (free, held))
    assert near < 0.9 * far


def test_slow_without_a_differentiable_codec_is_the_sde(prior: ModelCard, frame: Frame) -> None:
    options = EnhanceOptions("presets", "slow", posterior_mean=False)
    webp = enhance_frame(frame, Target("webp", 20), options, CPU)
    again = enhance_frame(frame, Target("webp", 20), replace(options, step_size=5.0), CPU)
    torch.testing.assert_close(webp.rgb, again.rgb)


def test_noise_goes_onto_the_estimate(prior: ModelCard, estimator: ModelCard, frame: Frame) -> None:
    with_mean, without = (go(frame, preset="medium", posterior_mean=mean) for mean in (True, False))
    assert not torch.allclose(with_mean, without)
    mean = estimate(frame, TARGET, load_estimator(estimator, CPU), CPU)
    sigma = float(
        0.5
        * without.new_tensor(1.0)  # the preset's own ratio
        * _error(estimator, frame)
    )
    options = EnhanceOptions("presets", "medium", posterior_mean=False, sigma=sigma)
    by_hand = enhance_frame(mean, None, options, CPU)
    torch.testing.assert_close(with_mean, by_hand.rgb, atol=2e-3, rtol=0)


def test_what_is_soft_gets_less_noise(prior: ModelCard, estimator: ModelCard) -> None:
    """By the edges of what the noise is added to, in the share that the card states."""
    curve = {"reference": 0.9, "power": 2.0, "least": 0.05}
    settings = {**prior.settings, "softness": {"posterior_mean": curve}}
    register_model(replace(prior, name="softened", settings=settings))
    try:
        soft = Frame.of(torch.arange(64.0).expand(3, 64, 64) / 64)
        options = EnhanceOptions("softened", "medium")
        mean = estimate(soft, TARGET, load_estimator(estimator, CPU), CPU)
        share = float(softened(curve, mean)[0])
        assert 0.05 < share < 0.9
        found = enhance_frame(soft, TARGET, options, CPU)
        plain = replace(options, model="presets")
        expected = enhance_frame(soft, TARGET, replace(plain, tradeoff=share), CPU)
        torch.testing.assert_close(found.rgb, expected.rgb)
        assert not torch.allclose(found.rgb, enhance_frame(soft, TARGET, plain, CPU).rgb)
    finally:
        cards._registry.pop("softened")


def _error(card: ModelCard, frame: Frame) -> torch.Tensor:
    from gesso.noise import estimated_rmse

    return estimated_rmse(card.settings["noise"], TARGET, frame)[0]


def test_without_an_estimator_the_decode_itself_is_taken(
    prior: ModelCard, training_free: None, frame: Frame
) -> None:
    torch.testing.assert_close(go(frame), go(frame, posterior_mean=False))


def test_a_preset_that_the_model_lacks_names_those_it_has(tiny: ModelCard, frame: Frame) -> None:
    with pytest.raises(InputError, match="has no preset 'slow', only fast, medium"):
        enhance_frame(frame, TARGET, EnhanceOptions("tiny", "slow"), CPU)
    out = enhance_frame(frame, TARGET, EnhanceOptions("tiny", "slow", steps=1), CPU)
    assert out.rgb.shape == frame.rgb.shape


def test_faithful_needs_what_the_file_states(prior: ModelCard, frame: Frame) -> None:
    with pytest.raises(InputError, match="faithful needs the coefficients of a JPEG file"):
        go(frame, faithful=True)


class Exploding:
    """A denoiser that is far off, as ours was at small noise on hard edges."""

    grid, device = 16, torch.device("cpu")

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x + 100 * torch.sign(x)


@pytest.mark.parametrize(
    ("sampler", "reach"),  # five deviations of noise, four of each estimate
    [("one-step", 5 + 4 * 4), ("multistep", 4 * (5 + 4)), ("ode", 5 + 4 * 4), ("sde", 5 + 4 * 4)],
)
def test_no_estimate_lies_further_off_than_noise_reaches(
    frame: Frame, sampler: Sampler, reach: int
) -> None:
    sigma = 0.02
    out = travel(frame, Plan(torch.tensor([sigma]), sampler, 4), Exploding(), CPU)
    # on [0, 1]
    furthest = (out.rgb - frame.rgb).abs().max()
    assert 2 * sigma / 2 < furthest < reach * sigma / 2


class Nothing:
    """A denoiser that leaves all the noise in."""

    grid, device = 16, torch.device("cpu")

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x


def test_noise_is_that_of_the_places() -> None:
    runtime = replace(CPU, tile=128, overlap=64)

    def noise(places: torch.Tensor | None) -> torch.Tensor:
        grey = replace(Frame.of(torch.full((2, 3, 200, 150), 0.5)), places=places)
        plan = Plan(torch.tensor([0.02, 0.02]), "one-step", 1)
        return travel(grey, plan, Nothing(), runtime).rgb

    rows, columns = torch.meshgrid(torch.arange(200), torch.arange(150), indexing="ij")
    own = torch.stack([rows, columns])
    still = noise(None)
    assert torch.equal(noise(torch.stack([own, own])), still)
    gone, stood = noise(torch.stack([own + torch.tensor([[[30]], [[-20]]]), own]))
    assert torch.equal(stood, still[1])
    # Away from the borders, which low frequencies are told by; tiles round elsewhere.
    inner, there = gone[:, 16:150, 40:130], still[0, :, 46:180, 20:110]
    torch.testing.assert_close(inner, there, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampler", ["one-step", "multistep"])
def test_consistency_models_leave_low_frequencies_alone(frame: Frame, sampler: Sampler) -> None:
    class Brighter(Nothing):
        """A denoiser that shifts everything."""

        def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return x + sigma[:, None, None, None]

    middle = Frame.of(0.4 + 0.2 * frame.rgb)
    free, held = (
        travel(middle, Plan(torch.tensor([0.05]), name, 2), Brighter(), CPU).rgb - middle.rgb
        for name in ("ode", sampler)
    )
    assert free.mean() > 0.02
    assert held.mean().abs() < 0.001
    assert held.std() > 0.01
