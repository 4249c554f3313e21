"""What every model between gesso has in common."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compressai_gesso.sides import Sides
from gesso.errors import ModelError
from gesso.frame import Frame
from gesso.runtime import Runtime
from gesso.target import Target
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

TARGET = Target("jpeg", 30)


class Cropping:
    """A plug-in that breaks its promise, and notes where it was to run."""

    runtime: Runtime | None = None

    @hookimpl
    def gesso_after_decode(self, frame: Frame, runtime: Runtime) -> Frame:
        self.runtime = runtime
        return Frame.of(frame.rgb[..., :-1])


class Placed(Sides):
    def __init__(self, **sides: Any) -> None:
        super().__init__(**sides)
        self.place = nn.Parameter(torch.zeros(0))


def test_a_plug_in_that_changes_the_size_is_named_so() -> None:
    plugin, sides = Cropping(), Placed()
    manager().register(plugin)
    try:
        with pytest.raises(ModelError, match="update or uninstall it"):
            sides.finished(torch.zeros(1, 3, 16, 16), [TARGET])
    finally:
        manager().unregister(plugin)
    assert plugin.runtime is not None and plugin.runtime.device_name == "cpu"


def test_a_picture_does_not_depend_on_its_batch() -> None:
    x = torch.rand(2, 3, 40, 24, generator=torch.Generator().manual_seed(0))
    sides = Placed(seed=3, runtime=Runtime("cpu", "fp32"))
    both = sides.finished(x, [TARGET, Target("jpeg", 60)])
    alone = sides.finished(x[1:], [Target("jpeg", 60)])
    assert torch.equal(both[1:], alone)
    assert not both.requires_grad and not both.is_inference()


def test_without_wishes_pictures_pass_as_they_are() -> None:
    x = torch.rand(1, 3, 8, 8, requires_grad=True)
    sides = Placed(enhance=False)

    def none() -> Target:
        raise AssertionError

    assert sides.prepared(x, none) is x and sides.finished(x, [None]) is x


def test_a_module_prepares_with_its_gradient() -> None:
    class Brighter(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 1.5

    x = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    found = Placed(preprocess=Brighter()).prepared(x, lambda: TARGET)
    assert float(found.detach().max()) == 0.75
    [slope] = torch.autograd.grad(found.sum(), x)
    assert float(slope.max()) == 1.5
