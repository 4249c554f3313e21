"""The quality whose file is nearest in size."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gesso.codec import get_codec
from gesso.evaluation.matching import nearest_quality


@dataclass
class Counting:
    """A codec whose file sizes are told in advance."""

    sizes: dict[float, int]
    calls: int = 0

    name = "counting"
    extension = ".bin"

    @property
    def qualities(self) -> tuple[float, float]:
        return next(iter(self.sizes)), list(self.sizes)[-1]

    def encode(self, image: Image.Image, quality: float) -> bytes:
        self.calls += 1
        return bytes(self.sizes[quality])

    def decode(self, data: bytes) -> Image.Image:
        raise AssertionError("sizes are found without decoding")

    def qp(self, quality: float) -> float:
        return quality


PICTURE = Image.new("RGB", (8, 8))


@given(
    sizes=st.lists(st.integers(0, 500), min_size=3, max_size=60, unique=True).map(sorted),
    size=st.integers(0, 600),
    down=st.booleans(),
)
def test_the_nearest_of_growing_files_is_found_in_few_steps(
    sizes: list[int], size: int, down: bool
) -> None:
    qualities = range(len(sizes), 0, -1) if down else range(1, len(sizes) + 1)
    codec = Counting(dict(zip(map(float, qualities), sizes, strict=True)))
    found = nearest_quality(codec, PICTURE, size)
    assert abs(codec.sizes[found] - size) == min(abs(other - size) for other in sizes)
    assert codec.calls <= len(sizes).bit_length() + 1


def test_equally_near_files_give_the_better_quality() -> None:
    codec = Counting({1.0: 10, 2.0: 20, 3.0: 20, 4.0: 30})
    assert nearest_quality(codec, PICTURE, 25) == 4
    assert nearest_quality(codec, PICTURE, 5000) == 4


def test_a_real_codec_finds_its_own_quality(folder) -> None:  # type: ignore[no-untyped-def]
    codec = get_codec("jpeg")
    with Image.open(folder / "a.png") as picture:
        size = len(codec.encode(picture, 37))
        found = nearest_quality(codec, picture, size)
        assert len(codec.encode(picture, found)) == pytest.approx(size, abs=1)


def test_a_scale_without_whole_numbers_is_searched_finely() -> None:
    class Smooth(Counting):
        qualities = (0.0, 1.0)  # type: ignore[assignment]

        def encode(self, image: Image.Image, quality: float) -> bytes:
            return bytes(round(1000 * quality))

    assert nearest_quality(Smooth({}), PICTURE, 333) == pytest.approx(0.333, abs=1 / 256)
