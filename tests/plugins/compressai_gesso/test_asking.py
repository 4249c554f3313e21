"""What callers may ask of the two sides."""

from __future__ import annotations

import pytest
from torch import nn

from compressai_gesso.asking import ambient, as_enhance, as_preprocess, using
from gesso.errors import InputError
from gesso.options import EnhanceOptions, PreprocessOptions


def test_preprocess() -> None:
    module = nn.Identity()
    for value in (None, False):
        assert as_preprocess(value) is None
    assert as_preprocess(True) == PreprocessOptions()
    assert as_preprocess("mine") == PreprocessOptions("mine")
    assert as_preprocess(PreprocessOptions(effort="max")) == PreprocessOptions(effort="max")
    assert as_preprocess(module) is module
    with pytest.raises(InputError, match="preprocess must be True, False"):
        as_preprocess(3)


def test_enhance() -> None:
    assert as_enhance(False, "fast", None, None) is None
    assert as_enhance(True, None, None, None) == EnhanceOptions()
    assert as_enhance("slow", None, 0.5, 7) == EnhanceOptions(preset="slow", tradeoff=0.5, seed=7)
    given = EnhanceOptions(sigma=0.1, seed=3)
    assert as_enhance(given, "medium", None, None) == EnhanceOptions(
        sigma=0.1, seed=3, preset="medium"
    )
    with pytest.raises(InputError, match="preset must be one of"):
        as_enhance("fsat", None, None, None)
    with pytest.raises(InputError, match="enhance must be True, False"):
        as_enhance(3, None, None, None)


def test_using_holds_inside_alone() -> None:
    with using(preset="medium", seed=1):
        with using(seed=2):
            assert ambient() == {"preset": "medium", "seed": 2}
        assert ambient()["seed"] == 1
    assert ambient() == {}
    with (
        pytest.raises(InputError, match="no keyword quality; there are preprocess"),
        using(quality=3),
    ):
        pass
