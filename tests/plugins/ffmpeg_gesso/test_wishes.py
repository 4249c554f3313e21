"""Node options are understood, or refused with what there is."""

from __future__ import annotations

import pytest

from ffmpeg_gesso.arguments import parse
from ffmpeg_gesso.wishes import OPTIONS, Coding, coding_of, wish_of
from gesso.errors import InputError


def test_identity_is_idle() -> None:
    assert wish_of("identity").idle
    assert wish_of("identity=1:batch=3").batch == 3


def test_enhancement() -> None:
    wish = wish_of("enhance=medium:codec=x264:crf=30:tradeoff=0.5:seed=7:model=m:device=cpu")
    assert wish.mode == "enhance"
    assert (wish.enhance.preset, wish.enhance.tradeoff, wish.enhance.seed) == ("medium", 0.5, 7)
    assert (wish.enhance.model, wish.device) == ("m", "cpu")
    assert wish.target is not None
    assert (wish.target.codec, wish.target.quality) == ("hevc", 30)


def test_a_sigma_needs_no_target() -> None:
    assert wish_of("enhance=fast:sigma=0.1").target is None
    assert wish_of("enhance=fast:tradeoff=0").idle


def test_preprocessing_for_the_command_s_own_encoder() -> None:
    options = parse(["-c:v", "libx265", "-preset", "slow", "-crf", "31", "-c:a", "copy"])
    wish = wish_of("preprocess=1", coding_of(options, None))
    assert wish.target is not None
    assert (wish.target.codec, wish.target.quality) == ("hevc", 31)
    assert wish.preprocess.model is None
    assert wish_of("preprocess=mine:codec=vvenc:qp=32").preprocess.model == "mine"


def test_the_encoder_s_default_quality() -> None:
    wish = wish_of("preprocess=1", coding_of([], "libx264"))
    assert wish.target is not None and wish.target.quality == 23


def test_av1_s_crf_becomes_avif_s_quality() -> None:
    wish = wish_of("preprocess=1:codec=svtav1:crf=31.5")
    assert wish.target is not None
    assert (wish.target.codec, wish.target.quality) == ("avif", 50)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("sharpen=1", "no option 'sharpen'; there are: identity, enhance"),
        ("", "write gesso=enhance=fast"),
        ("enhance=fast:preprocess=1", "does one of"),
        ("enhance=quick:sigma=1", "one of fast, medium, slow, got 'quick'"),
        ("enhance=fast", "codec=x264:crf=28"),
        ("enhance=fast:codec=x264", "codec=x264:crf=28|crf=28"),
        ("enhance=fast:strength=1:sigma=1", "takes no strength"),
        ("preprocess=1:sigma=1", "takes no sigma"),
        ("preprocess=1", "does not say what encodes"),
        ("enhance=fast:codec=x264:crf=high", "must be a number, got 'high'"),
        ("enhance=fast:codec=x264:crf=99", "quality"),
        ("enhance=fast:sigma=1:seed=-1", "seed must be a whole number in"),
        ("enhance=fast:sigma=1:noise=white", "noise must be one of followed, fixed"),
        ("preprocess=1:codec=jpeg:quality=9:noise=fixed", "takes no noise"),
        ("enhance=fast:codec=what:quality=3", "what"),
        ("identity:batch=0", "batch must be a whole number in"),
    ],
)
def test_what_is_refused(arguments: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        wish_of(arguments)


def test_a_bitrate_says_no_quality() -> None:
    with pytest.raises(InputError, match="does not say"):
        wish_of("preprocess=1", coding_of(parse(["-b:v", "1M"]), "libx264"))


def test_a_command_without_encoder() -> None:
    assert coding_of(parse(["-c:a", "aac"]), None) == Coding()


def test_every_option_is_explained() -> None:
    assert all(OPTIONS.values())
