"""Trivial filters go through the runner like models, and are called what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gesso.codec import get_codec
from gesso.evaluation.measure import measure
from gesso.evaluation.peers import PEERS
from gesso.evaluation.peers.trivial import TRIVIAL, blur, sharpen
from gesso.evaluation.pipeline import Pipeline
from gesso.runtime import Runtime

JPEG = get_codec("jpeg")
CPU = Runtime(device_name="cpu")


def detail(image: Image.Image) -> float:
    """Mean absolute difference of neighbouring pixels."""
    pixels = np.asarray(image, dtype=float)
    return float(np.abs(np.diff(pixels, axis=1)).mean())


def test_each_side_has_a_blur_and_a_sharpening_for_any_codec() -> None:
    found = {(p.name, p.side) for p in TRIVIAL}
    assert found == {
        ("blur", "enhance"),
        ("unsharp", "enhance"),
        ("preblur", "preprocess"),
        ("presharpen", "preprocess"),
    }
    assert all(peer.codecs == () and peer.needs() is None and not peer.opt_in for peer in TRIVIAL)


def test_trivial_filters_are_named_as_such_and_nothing_else_is() -> None:
    named = {peer.name for peer in PEERS if peer.about.startswith("trivial filter: ")}
    assert named == {peer.name for peer in TRIVIAL}


def test_blur_takes_detail_away_and_sharpening_adds_it(photo: Image.Image) -> None:
    assert detail(blur(photo, 0.5)) < detail(photo) < detail(sharpen(photo, 50))
    assert blur(photo, 0) == sharpen(photo, 0) == photo


@pytest.mark.parametrize("quality", [10, 40])
def test_they_change_what_is_shown_or_what_is_coded(photo: Image.Image, quality: float) -> None:
    plain = Pipeline("plain", JPEG).run(photo, quality)
    for peer in TRIVIAL:
        coded = peer.pipeline(JPEG).run(photo, quality)
        assert (coded.data == plain.data) == (peer.side == "enhance"), peer.name
        assert coded.picture != plain.picture, peer.name


def test_they_are_measured_as_models_are(files: list[Path]) -> None:
    qualities = (10.0, 40.0)
    variants = {"plain": (Pipeline("plain", JPEG), qualities)}
    variants |= {p.name: (p.pipeline(JPEG), qualities) for p in TRIVIAL}
    report = measure(files[:2], variants, ["psnr"], CPU, codec="jpeg", side="enhance")
    document = report.to_json()
    assert [p["variant"] for p in document["points"][:5]] == list(variants)
    for quality, percent in zip(qualities, (25, 10), strict=True):
        expected = []
        for file in files[:2]:
            source = Image.open(file).convert("RGB")
            decoded = JPEG.decode(JPEG.encode(source, quality))
            shown = decoded.filter(ImageFilter.UnsharpMask(1, percent, 0))
            error = np.asarray(shown, dtype=float) - np.asarray(source, dtype=float)
            expected.append(10 * np.log10(255**2 / np.square(error).mean()))
        assert report.mean(quality, "unsharp", "psnr") == pytest.approx(np.mean(expected), rel=1e-5)
        # sharpening after the codec cannot bring the source back
        assert report.mean(quality, "unsharp", "psnr") < report.mean(quality, "plain", "psnr")
        assert report.mean(quality, "preblur", "bpp") < report.mean(quality, "plain", "bpp")
        assert report.mean(quality, "presharpen", "bpp") > report.mean(quality, "plain", "bpp")
