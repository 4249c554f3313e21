"""What the keywords take."""

from __future__ import annotations

from typing import Any

import pytest

from gesso.errors import InputError
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target
from imageio_gesso.wishes import Look, as_look, as_preprocess


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (True, EnhanceOptions()),
        ("medium", EnhanceOptions(preset="medium")),
        (EnhanceOptions(seed=7), EnhanceOptions(seed=7)),
    ],
)
def test_enhance_takes_true_a_preset_or_options(said: object, options: EnhanceOptions) -> None:
    assert as_look(said, None, None) == Look(options)
    assert as_look(said, "webp", 40) == Look(options, "webp", 40)


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (True, PreprocessOptions()),
        ("mine", PreprocessOptions(model="mine")),
        (PreprocessOptions(effort="max"), PreprocessOptions(effort="max")),
        (False, None),
        (None, None),
    ],
)
def test_preprocess_takes_true_a_name_or_options(said: object, options: object) -> None:
    assert as_preprocess(said) == options


@pytest.mark.parametrize("said", [False, None])
def test_false_and_none_ask_for_nothing(said: object) -> None:
    assert as_look(said, None, None) is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ((3, None, None), "enhance must be True, False, a preset's name or an Enhance, got 3"),
        (("best", None, None), "preset must be one of fast, medium, slow, got 'best'"),
        ((None, None, 30), "pass enhance=, too, or leave them out"),
        ((False, "jpeg", None), "pass enhance=, too, or leave them out"),
        ((True, "jpeg", None), "codec= needs quality="),
        ((True, None, "high"), "quality must be a number, got 'high'"),
        ((True, None, True), "quality must be a number, got True"),
    ],
)
def test_anything_else_is_refused(said: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_look(*said)


@pytest.mark.parametrize("said", [3, {}, ["fast"], EnhanceOptions()])
def test_preprocess_refuses_anything_else(said: object) -> None:
    with pytest.raises(InputError, match="preprocess must be True, False, a model's name"):
        as_preprocess(said)


def test_the_target_is_the_caller_s_codec_before_the_file_s() -> None:
    options = EnhanceOptions()
    assert Look(options).target("jpeg", "JPEG") is None
    assert Look(options, quality=30).target("jpeg", "JPEG") == Target("jpeg", 30)
    assert Look(options, "webp", 30).target("jpeg", "JPEG") == Target("webp", 30)
    with pytest.raises(InputError, match="PNG does not say what coded its pixels; pass codec="):
        Look(options, quality=30).target(None, "PNG")
    with pytest.raises(InputError, match="outside jpeg's range"):
        Look(options, quality=300).target("jpeg", "JPEG")
    assert not Look(EnhanceOptions(sigma=0.1)).needs_target
    assert not Look(EnhanceOptions(tradeoff=0)).needs_target
    assert Look(options).needs_target
