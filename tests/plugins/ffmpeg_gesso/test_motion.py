"""Motion that is known is found again, and warping follows it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ffmpeg_gesso import motion
from ffmpeg_gesso.motion import around, check_library, flow, luma, warp
from gesso.errors import InputError

SHIFT = (2.0, -3.0)


def texture(down: float = 0, right: float = 0, side: int = 96) -> Tensor:
    """A smooth plane whose contents moved."""
    y = torch.arange(side)[:, None] - down
    x = torch.arange(side) - right
    waves = (y / 5).sin() * (x / 7).cos() + (x / 11 + y / 6).sin() + (x / 4).sin() * 0.5
    return (0.5 + 0.15 * waves).clamp(0, 1)


@pytest.mark.parametrize(("thorough", "off"), [(False, 0.2), (True, 0.1)])
def test_a_shift_is_found(thorough: bool, off: float) -> None:
    pytest.importorskip("cv2")
    found = flow(texture(), texture(*SHIFT), thorough)
    inner = found[:, 16:-16, 16:-16]
    assert found.shape == (2, 96, 96)
    assert (inner - torch.tensor(SHIFT)[:, None, None]).abs().mean() < off


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 40), (300, 11), (12, 1000), (16, 2000)])
@pytest.mark.parametrize("thorough", [False, True])
def test_any_size_will_do(size: tuple[int, int], thorough: bool) -> None:
    """OpenCV alone ends the process for some of these."""
    pytest.importorskip("cv2")
    found = flow(torch.rand(size), torch.rand(size), thorough)
    assert found.shape == (2, *size)
    assert found.isfinite().all()


def test_threads_are_left_as_they_were() -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(2)
    flow(texture(), texture())
    assert cv2.getNumThreads() == 2


def test_warping_by_a_known_flow_is_exact() -> None:
    known = torch.tensor(SHIFT)[:, None, None].expand(2, 96, 96)
    found, inside = warp(texture(*SHIFT)[None], known)
    assert torch.allclose(found[0][inside], texture()[inside], atol=1e-5)
    assert inside.sum() == (96 - 2) * (96 - 3)


def test_luma_weighs_green_most() -> None:
    frame = torch.eye(3)[:, :, None]
    assert luma(frame).flatten().tolist() == pytest.approx([0.2126, 0.7152, 0.0722])


def test_the_mean_around_leaves_out_what_lies_beyond_the_border() -> None:
    plane = torch.zeros(5, 5)
    plane[0, 0] = 1
    assert around(plane, 3)[:2, :2].tolist() == [
        [pytest.approx(1 / 4), pytest.approx(1 / 6)],
        [pytest.approx(1 / 6), pytest.approx(1 / 9)],
    ]


def test_the_library_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(motion, "import_module", missing)
    with pytest.raises(InputError, match="opencv-python-headless"):
        check_library()
