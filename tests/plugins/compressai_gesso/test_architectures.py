"""The classes behind the entries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compressai_gesso.architectures import FILES, NETWORKS, architectures, class_of
from compressai_gesso.asking import using
from compressai_gesso.library import library
from gesso.errors import InputError


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    library("models")
    known: dict[str, Any] = library("registry").MODELS
    return known


def test_every_entry_has_a_class_of_its_own(models: dict[str, Any]) -> None:
    found = architectures(models)
    assert set(found) == {f"gesso-{name}" for name in (*NETWORKS, *FILES, "latent")}
    assert len({kind.__name__ for kind in found.values()}) == len(found)
    # What an older CompressAI lacks is left out.
    assert set(architectures({"mbt2018"})) == {
        f"gesso-{name}" for name in ("mbt2018", "hyperprior", *FILES, "latent")
    }


def test_the_registry_builds_by_widths_or_by_quality(models: dict[str, Any]) -> None:
    net = class_of("mbt2018-mean")(N=8, M=12, quality=2, enhance=False)
    assert type(net.base) is models["mbt2018-mean"]
    assert (net.N, net.quality, net.enhance_options) == (8, 2, None)
    assert class_of("hevc")(quality=38).target.quality == 38
    with pytest.raises(TypeError, match="presett"):
        class_of("mbt2018-mean")(8, 12, presett="fast")


def test_an_architecture_that_this_compressai_lacks(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(models, "elic2022-official")
    with pytest.raises(InputError, match=r"has no 'elic2022-official'; run: pip install -U"):
        class_of("elic2022-official")()


def test_weights_of_variable_rate_tell_their_kind(models: dict[str, Any]) -> None:
    for variable in (True, False):
        torch.manual_seed(0)
        base = models["bmshj2018-hyperprior-vbr"](8, 12, vr_entbttlnck=variable)
        found = class_of("bmshj2018-hyperprior-vbr").from_state_dict(base.state_dict())
        assert found.vr_entbttlnck == variable


def test_using_holds_for_checkpoints_too(models: dict[str, Any]) -> None:
    base = models["mbt2018-mean"](8, 12)
    with using(enhance=False):
        assert class_of("mbt2018-mean").from_state_dict(base.state_dict()).enhance_options is None
        assert class_of("jpeg").from_state_dict(class_of("jpeg")(30).state_dict()).quality == 30
