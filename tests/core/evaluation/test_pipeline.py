"""A pipeline does things in their order, times them, and names what goes wrong."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field

import pytest
from PIL import Image, ImageFilter, ImageOps

from gesso.codec import Codec, get_codec
from gesso.errors import InputError
from gesso.evaluation.pipeline import Pipeline
from gesso.programs import ProgramError

JPEG = get_codec("jpeg")
SOURCE = Image.radial_gradient("L").convert("RGB").crop((0, 0, 96, 64))


def inverted(source: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return ImageOps.invert(source)


def smoothed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return decoded.filter(ImageFilter.SMOOTH)


def test_before_codec_and_after_follow_one_another() -> None:
    coded = Pipeline("both", JPEG, inverted, smoothed).run(SOURCE, 30)
    assert coded.data == JPEG.encode(ImageOps.invert(SOURCE), 30)
    assert coded.decoded == JPEG.decode(coded.data)
    assert coded.picture == coded.decoded.filter(ImageFilter.SMOOTH)
    assert coded.source is SOURCE
    assert (coded.pipeline, coded.quality) == ("both", 30)
    assert coded.bpp == 8 * len(coded.data) / (96 * 64)
    assert list(coded.seconds) == ["before", "encode", "decode", "after"]
    assert all(seconds > 0 for seconds in coded.seconds.values())


def test_without_treatments_the_decode_is_shown() -> None:
    coded = Pipeline("plain", JPEG).run(SOURCE, 30)
    assert coded.picture is coded.decoded
    assert coded.seconds["after"] == 0


def test_one_decode_serves_several_pipelines() -> None:
    plain, gesso = Pipeline("plain", JPEG), Pipeline("gesso", JPEG, after=smoothed)
    shared = plain.code(SOURCE, 30)
    found = gesso.finish(shared)
    assert found.data is shared.data
    assert found.picture == gesso.run(SOURCE, 30).picture
    assert found.pipeline == "gesso"
    assert found.seconds["encode"] == shared.seconds["encode"]


@dataclass
class Failing:
    """A codec that raises, or gives a picture of another size."""

    error: Exception | None = None
    name: str = "failing"
    extension: str = ".x"
    qualities: tuple[float, float] = (1.0, 100.0)
    calls: list[str] = field(default_factory=list)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        if self.error:
            raise self.error
        return b"x"

    def decode(self, data: bytes) -> Image.Image:
        return Image.new("RGB", (8, 8))

    def qp(self, quality: float) -> float:
        return quality


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("long"), ProgramError("x265: bad")])
def test_a_codec_that_fails_is_named(error: Exception) -> None:
    with pytest.raises(InputError, match=f"failing cannot code it: {error}"):
        Pipeline("plain", Failing(error)).run(SOURCE, 30)


def test_what_a_codec_says_itself_is_left_as_it_is() -> None:
    error = InputError("failing is not installed; install it")
    with pytest.raises(InputError) as caught:
        Pipeline("plain", Failing(error)).run(SOURCE, 30)
    assert caught.value is error


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"failing gave a RGB picture of \(8, 8\)"):
        Pipeline("plain", Failing()).run(SOURCE, 30)


def grey(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return decoded.convert("L")


def failing(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    raise ProgramError("jpegqs failed (1): bad")


def test_a_treatment_that_fails_is_named() -> None:
    with pytest.raises(InputError, match="grey gave a L picture"):
        Pipeline("grey", JPEG, after=grey).run(SOURCE, 30)
    with pytest.raises(InputError, match=r"qs cannot finish it: jpegqs failed \(1\): bad"):
        Pipeline("qs", JPEG, after=failing).run(SOURCE, 30)


def test_pipelines_survive_pickling() -> None:
    pipeline = Pipeline("both", JPEG, inverted, smoothed)
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline
