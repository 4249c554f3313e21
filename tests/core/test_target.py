"""Targets: qualities, tables and the rate index."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gesso.codec import PILLOW_CODECS
from gesso.errors import InputError
from gesso.target import Target, jpeg_chroma_table, jpeg_luma_table, jpeg_quality


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 100))
def test_our_tables_are_libjpegs(quality: int) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=quality)
    tables = Image.open(stream).quantization  # type: ignore[attr-defined]
    assert sorted(tables[0]) == sorted(jpeg_luma_table(quality))
    found = Target.of_jpeg_tables(tables).quality
    assert sorted(jpeg_luma_table(found)) == sorted(tables[0])


def test_foreign_tables_find_the_nearest_quality() -> None:
    flat = [16] * 64
    assert 70 <= jpeg_quality(flat) <= 90
    assert jpeg_quality([1] * 64) == 100
    assert jpeg_quality([255] * 64) <= 10


@pytest.mark.parametrize("table", [[], [1] * 63, [0] * 64])
def test_damaged_tables_raise(table: list[int]) -> None:
    with pytest.raises(InputError, match="64 steps"):
        jpeg_quality(table)


def test_a_file_without_a_luma_table_raises() -> None:
    with pytest.raises(InputError, match="pass quality="):
        Target.of_jpeg_tables({})


@pytest.mark.parametrize("codec", [c.name for c in PILLOW_CODECS])
def test_a_better_quality_has_a_lower_qp(codec: str) -> None:
    levels = [Target(codec, q).qp for q in range(1, 101)]
    assert all(a >= b for a, b in pairwise(levels))
    assert 10 < levels[-1] < 20 and 40 < levels[0] < 60


@pytest.mark.parametrize(("codec", "quality"), [("jpeg", 0), ("webp", 101), ("avif", -1)])
def test_a_quality_out_of_range_raises(codec: str, quality: float) -> None:
    with pytest.raises(InputError, match="outside"):
        Target(codec, quality)


def test_a_files_coefficients_do_not_tell_targets_apart() -> None:
    stream = io.BytesIO()
    Image.effect_noise((40, 24), 50).convert("RGB").save(stream, "JPEG", quality=33)
    target = Target.of_jpeg_file(stream.getvalue())
    assert target.jpeg and (target.jpeg.width, target.jpeg.height) == (40, 24)
    assert target == Target("jpeg", 33) and hash(target) == hash(Target("jpeg", 33))
    assert repr(target) == repr(Target("jpeg", 33.0))
    with pytest.raises(InputError, match="leave faithful out"):
        Target.of_jpeg_file(b"no JPEG")


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 100))
def test_our_chroma_tables_are_libjpegs_too(quality: int) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=quality)
    tables = Image.open(stream).quantization  # type: ignore[attr-defined]
    assert list(map(float, tables[1])) == jpeg_chroma_table(quality)
