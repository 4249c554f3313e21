"""Pictures of a page are lossless, embedded once, and cut where they are too large."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageChops

from gesso.errors import InputError
from gesso.evaluation.page import Pair, pictures
from gesso.evaluation.page.pictures import Gallery


def decoded(uri: str) -> Image.Image:
    kind, data = uri.split(",", 1)
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def test_pictures_are_embedded_without_loss(pair: Pair, noisy: Image.Image) -> None:
    blank = Image.new("RGB", noisy.size)
    gallery = Gallery.of([replace(pair, source=noisy, plain=blank, gesso=noisy.rotate(180))])
    by_id = {p["id"]: p for p in gallery.pictures}
    [shown] = gallery.pairs
    for side, picture in (("source", noisy), ("plain", blank), ("gesso", noisy.rotate(180))):
        found = decoded(by_id[shown[side]]["uri"])
        assert ImageChops.difference(found, picture).getbbox() is None
    assert (shown["width"], shown["height"], shown["note"]) == (96, 64, "")


def test_a_picture_that_comes_twice_is_embedded_once(pair: Pair) -> None:
    other = replace(pair, quality=20, plain=pair.plain.copy(), gesso=pair.source.copy())
    gallery = Gallery.of([pair, other])
    assert [p["id"] for p in gallery.pictures] == ["picture-1", "picture-2", "picture-3"]
    one, two = gallery.pairs
    assert two["source"] == one["source"] == two["gesso"]
    assert two["plain"] == one["plain"]


def test_pictures_of_other_shapes_are_not_taken_for_one_another(pair: Pair) -> None:
    tall = [picture.resize((32, 48)) for picture in (pair.source, pair.plain, pair.gesso)]
    gallery = Gallery.of([pair, Pair("tall", 10, "", "", *tall)])
    assert len(gallery.pictures) == 6


def test_a_large_picture_is_cut_to_where_the_plain_one_errs_most(
    pair: Pair, noisy: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 96 * 64 // 4)
    plain = noisy.copy()
    plain.paste("black", (60, 40, 90, 60))
    gallery = Gallery.of([replace(pair, source=noisy, plain=plain, gesso=noisy)])
    [shown] = gallery.pairs
    assert (shown["width"], shown["height"]) == (48, 32)
    assert "96 by 64 pixels" in shown["note"] and "window of 48 by 32" in shown["note"]
    embedded = decoded(next(p["uri"] for p in gallery.pictures if p["id"] == shown["plain"]))
    # the whole of the black patch is in it
    assert (np.asarray(embedded) == 0).all(2).sum() >= 30 * 20


def test_the_window_stays_where_it_is_from_quality_to_quality(
    pair: Pair, noisy: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 96 * 64 // 4)
    worst, better = noisy.copy(), noisy.copy()
    worst.paste("black", (0, 0, 30, 20))
    better.paste("black", (60, 40, 90, 60))
    pairs = [replace(pair, quality=q, source=noisy, plain=p, gesso=noisy) for q, p in
             ((10, worst), (20, better))]  # fmt: skip
    one, two = Gallery.of(pairs).pairs
    assert one["source"] == two["source"]
    assert "at (0, 0)" in one["note"] == two["note"]


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (3000, 2000), (1415, 1415)])
def test_windows_are_inside_the_picture_and_within_the_limits(size: tuple[int, int]) -> None:
    source = Image.new("RGB", size)
    left, top, right, bottom = pictures._worst(source, source)
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert (right - left) * (bottom - top) <= pictures.LARGEST
    assert max(right - left, bottom - top) <= pictures.LONGEST


def test_pictures_of_one_pair_must_be_of_one_size(pair: Pair) -> None:
    with pytest.raises(InputError, match=r"one\.png: source, plain and gesso differ in size"):
        Gallery.of([replace(pair, gesso=pair.gesso.resize((10, 10)))])
