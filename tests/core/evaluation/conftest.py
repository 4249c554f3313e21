"""Small crops of a real photograph, and stand-ins for models that must pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(scope="session")
def astronaut() -> NDArray[Any]:
    """A photograph, (512, 512, 3) uint8."""
    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def pairs() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Photographs and what a codec might make of them, (1, 3, H, W) in [0, 1].

    Made without a codec, whose version could move the figures: in ``astronaut`` (192 x 192)
    and ``coffee`` (192 x 128) every 4 x 4 pixels show their mean, ``bands`` (219 x 181) has
    eleven levels.
    """

    def coarse(array: NDArray[Any]) -> NDArray[Any]:
        height, width, _ = array.shape
        means = array.reshape(height // 4, 4, width // 4, 4, 3).astype(np.float64).mean((1, 3))
        return np.asarray(np.rint(means).astype(np.uint8).repeat(4, 0).repeat(4, 1))

    def tensor(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255

    astronaut, coffee = np.asarray(skimage.data.astronaut()), np.asarray(skimage.data.coffee())
    face, cup, table = astronaut[:192, 160:352], coffee[100:228, 200:392], coffee[60:241, 200:419]
    return {
        "astronaut": (tensor(face), tensor(coarse(face))),
        "coffee": (tensor(cup), tensor(coarse(cup))),
        "bands": (tensor(table), tensor(table // 24 * 24 + 12)),
    }


@pytest.fixture
def folder(tmp_path: Path, astronaut: NDArray[Any]) -> Path:
    """Three pictures, 96 x 64, as PNG files a, b and c."""
    for name, top in (("a", 0), ("b", 100), ("c", 200)):
        Image.fromarray(astronaut[top : top + 64, 150:246]).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def files(folder: Path) -> list[Path]:
    """The pictures of ``folder``, in the order of their names."""
    return sorted(folder.glob("*.png"))


@pytest.fixture
def stopping() -> Callable[[Callable[..., Any], int], Callable[..., Any]]:
    """``stopping(function, 3)`` works three times; then the user presses Ctrl-C."""

    def make(function: Callable[..., Any], after: int) -> Callable[..., Any]:
        calls = iter(range(after))

        def call(*arguments: Any) -> Any:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    return make


@pytest.fixture
def spawnable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spawned processes find the functions of test modules by their full names."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
