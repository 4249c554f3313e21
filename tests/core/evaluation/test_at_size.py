"""Codecs at one file size: the nearest quality, a line for each decoder, what cannot run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from gesso.codec import PILLOW_CODECS, PillowCodec, get_codec
from gesso.errors import InputError
from gesso.evaluation.at_size import Contestant, at_size


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for index in range(2):
        path = tmp_path / f"{index}.png"
        Image.fromarray(data.astronaut()[index * 40 : index * 40 + 140, :150]).save(path)
        found.append(path)
    return found


def test_files_are_near_the_size_and_means_are_means(files: list[Path]) -> None:
    jpeg = get_codec("jpeg")
    found = at_size(files, [Contestant("jpeg", jpeg)], 2500, ["psnr"], 128)
    assert found.lines == ["jpeg"] and len(found.shown) == 2
    for shown in found.shown:
        with Image.open(files[int(shown.picture[0])]) as whole:
            picture = whole.crop((11, 6, 139, 134)).convert("RGB")
        sizes = [len(jpeg.encode(picture, q)) for q in (shown.quality - 1, shown.quality)]
        assert shown.size == sizes[1]
        assert abs(sizes[1] - 2500) <= abs(sizes[0] - 2500)
    mean = sum(shown.values["psnr"] for shown in found.shown) / 2
    assert found.mean("jpeg", "psnr") == pytest.approx(mean)
    document = found.to_json()
    assert document["images"] == 2 and document["lines"][0]["psnr"] == pytest.approx(mean)
    json.dumps(document, allow_nan=False)


def test_decoders_share_the_file(files: list[Path]) -> None:
    jpeg = get_codec("jpeg")
    decoders = {"plain": jpeg.decode, "darker": lambda d: jpeg.decode(d).point(lambda v: v // 2)}
    contestants = [Contestant("jpeg", jpeg, decoders=decoders)]
    found = at_size(files, contestants, 2500, ["psnr"], 128)
    assert found.lines == ["plain", "darker"]
    assert found.mean("plain", "size") == found.mean("darker", "size")
    assert found.mean("plain", "psnr") > found.mean("darker", "psnr")


def test_only_the_levels_that_are_given(files: list[Path]) -> None:
    contestants = [Contestant("jpeg", get_codec("jpeg"), levels=(10.0, 50.0))]
    found = at_size(files, contestants, 10**6, ["psnr"], 128)
    assert {shown.quality for shown in found.shown} == {50.0}


@dataclass(frozen=True)
class Picky(PillowCodec):
    """Codes a first picture, and no other."""

    def encode(self, image: Image.Image, quality: float) -> bytes:
        if image.getpixel((0, 0)) != PICKED:
            raise InputError("not this one")
        return super().encode(image, quality)


PICKED = tuple(int(v) for v in data.astronaut()[6, 11])


def test_what_fails_once_is_out_of_all(files: list[Path]) -> None:
    picky = Picky("jpeg", ".jpg")
    contestants = [Contestant("picky", picky), Contestant("webp", PILLOW_CODECS[1])]
    found = at_size(files, contestants, 2500, ["psnr"], 128)
    assert found.lines == ["webp"] and found.skipped == {"picky": "not this one"}
    with pytest.raises(InputError, match="picky: not this one"):
        at_size(files, contestants[:1], 2500, ["psnr"], 128)


def test_a_picture_smaller_than_the_square_is_named(files: list[Path]) -> None:
    with pytest.raises(InputError, match=r"0\.png is 150 x 140, smaller than 512"):
        at_size(files, [Contestant("jpeg", get_codec("jpeg"))], 2500, ["psnr"])
    whole = at_size(files, [Contestant("jpeg", get_codec("jpeg"))], 2500, ["psnr"], None)
    assert whole.side is None
    assert replace(whole, size=1).to_json()["size"] == 1


def test_a_file_that_is_no_picture_is_named(files: list[Path]) -> None:
    files[1].write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1\.png: not a picture that Pillow knows"):
        at_size(files, [Contestant("jpeg", get_codec("jpeg"))], 2500, ["psnr"], 128)


def test_progress_ends_at_its_total(files: list[Path]) -> None:
    ticks: list[tuple[int, int]] = []
    contestants = [Contestant("jpeg", get_codec("jpeg"), levels=(10.0, 50.0))]
    at_size(files, contestants, 2500, ["psnr"], 128, progress=lambda *done: ticks.append(done))
    assert ticks == [(0, 2), (1, 2), (2, 2)]
