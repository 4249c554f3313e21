"""formats=["ENHANCED-JPEG"]: other pixels, and nothing else changes."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageSequence, UnidentifiedImageError

import pillow_gesso
from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from gesso.options import EnhanceOptions
from gesso.target import Target

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Inverted = Callable[[Image.Image], Image.Image]
NAMES = ("JPEG", "WEBP", "AVIF")
CASES = [
    ("JPEG", "RGB"),
    ("JPEG", "L"),
    *((name, mode) for name in ("WEBP", "AVIF") for mode in ("RGB", "RGBA")),
    ("AVIF", "L"),
]


def enhanced(data: bytes | Path, name: str) -> ImageFile.ImageFile:
    return Image.open(
        io.BytesIO(data) if isinstance(data, bytes) else data, formats=[f"ENHANCED-{name}"]
    )


def plain(data: bytes | Path) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)


def carrying(photo: Photo, encoded: Encoded, name: str, mode: str = "RGB") -> bytes:
    """A file with EXIF (turned by 90 degrees), ICC profile and XMP."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(
        photo(mode), name, quality=40, exif=exif, icc_profile=b"profile", xmp=b"<x:xmpmeta/>"
    )


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_pixels_are_treated_at_load_and_all_else_is_stock(
    name: str, mode: str, model: Any, photo: Photo, encoded: Encoded, inverted: Inverted
) -> None:
    data = carrying(photo, encoded, name, mode)
    with enhanced(data, name) as image, plain(data) as stock:
        for when in ("before load", "after load"):
            assert image.info == stock.info, when
            assert (image.size, image.mode, image.format) == (stock.size, stock.mode, name)
            assert image.format_description == stock.format_description
            assert image.get_format_mimetype() == stock.get_format_mimetype()
            assert dict(image.getexif()) == dict(stock.getexif()) == {0x0112: 6}
            assert image.tell() == stock.tell()
            assert isinstance(image, type(stock))
            if name == "JPEG":
                assert image.quantization == stock.quantization  # type: ignore[attr-defined]
            else:
                assert image.n_frames == stock.n_frames == 1  # type: ignore[attr-defined]
            if when == "before load":
                assert not model.asked
                image.load()
                stock.load()
        assert image.tobytes() == inverted(stock).tobytes()
        image.load()
    assert len(model.asked) == 1


@pytest.mark.parametrize("name", NAMES)
def test_only_the_formats_of_that_name_are_found(
    name: str, model: Any, photo: Photo, encoded: Encoded
) -> None:
    data = encoded(photo(), name)
    with plain(data) as image:
        image.load()
    assert not model.asked
    for other in NAMES:
        if other != name:
            with pytest.raises(UnidentifiedImageError):
                enhanced(data, other)
    with Image.open(io.BytesIO(data), formats=[f"enhanced-{each}" for each in NAMES]) as image:
        image.load()
    assert len(model.asked) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a" + bytes(40), bytes(100)])
def test_foreign_files_are_not_identified(name: str, data: bytes, model: Any) -> None:
    with pytest.raises(UnidentifiedImageError):
        enhanced(data, name)


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_each_frame_of_an_animation_is_treated(
    name: str, model: Any, photo: Photo, encoded: Encoded, inverted: Inverted
) -> None:
    frames = [photo(seed=seed) for seed in range(3)]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], duration=[20, 30, 40])
    with enhanced(data, name) as image, plain(data) as stock:
        expected = [(inverted(f).tobytes(), f.info.copy()) for f in ImageSequence.Iterator(stock)]
        got = [(f.tobytes(), f.info.copy()) for f in ImageSequence.Iterator(image)]
        assert got == expected
        assert len({pixels for pixels, _ in got}) == 3
        assert image.n_frames == 3  # type: ignore[attr-defined]
        assert image.is_animated  # type: ignore[attr-defined]
        for frame in (0, 2, 1, 1, 0):
            image.seek(frame)
            assert image.tell() == frame
            assert image.tobytes() == expected[frame][0]
        with pytest.raises(EOFError):
            image.seek(3)


def test_multi_picture_files_are_recognised(
    model: Any, photo: Photo, encoded: Encoded, inverted: Inverted
) -> None:
    frames = [photo(seed=1), photo(seed=2)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=30)
    with enhanced(data, "JPEG") as image, plain(data) as stock:
        assert image.format == stock.format == "MPO"
        assert image.mpinfo == stock.mpinfo  # type: ignore[attr-defined]
        for frame in (1, 0, 1):
            image.seek(frame)
            stock.seek(frame)
            assert image.size == stock.size
            assert image.tobytes() == inverted(stock).tobytes()
    assert {target for target, _ in model.asked} == {Target("jpeg", 30)}


def test_draft_and_thumbnail_work(
    model: Any, photo: Photo, encoded: Encoded, inverted: Inverted
) -> None:
    data = encoded(photo(size=(320, 200)), "JPEG")
    with enhanced(data, "JPEG") as image, plain(data) as stock:
        assert image.draft("L", (80, 50)) == stock.draft("L", (80, 50))
        assert image.size == stock.size == (80, 50)
        assert image.mode == "L"
        assert image.tobytes() == inverted(stock).tobytes()
    with enhanced(data, "JPEG") as image:
        image.thumbnail((30, 30))
        assert image.size == (30, 19)
    assert len(model.asked) == 2


def test_quality_keep_still_keeps(model: Any, photo: Photo, encoded: Encoded) -> None:
    data = encoded(photo(), "JPEG", quality=25, subsampling=0)
    with enhanced(data, "JPEG") as image:
        kept = encoded(image, "JPEG", quality="keep")
    with plain(kept) as again, plain(data) as stock:
        assert again.quantization == stock.quantization  # type: ignore[attr-defined]
        assert again.layer == stock.layer  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_life_of_an_image_file(
    name: str, model: Any, photo: Photo, encoded: Encoded, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(photo(), name))
    image = enhanced(path, name)
    assert image.filename == str(path)
    image.verify()
    with enhanced(path, name) as image:
        pixels = image.tobytes()
        twin = image.copy()
        deep = copy.deepcopy(image)
        pickled = pickle.loads(pickle.dumps(image))
        with enhanced(path, name) as again:
            again.load()  # which completes info
            assert again == image == pickled == deep
    for each in (twin, deep, pickled):
        each.load()
        assert each.tobytes() == pixels
    assert twin.format is None
    assert pickled.format == name
    image.close()
    with pytest.raises(ValueError, match="closed image"):
        image.load()
    assert len(model.asked) == 2


@pytest.mark.parametrize("name", NAMES)
def test_truncated_files_are_as_pillow_says(
    name: str,
    model: Any,
    photo: Photo,
    encoded: Encoded,
    inverted: Inverted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(photo(size=(200, 200)), name, quality=95)
    data = data[: len(data) // 2]

    def outcome(opened: Callable[[], ImageFile.ImageFile]) -> Any:
        try:
            with opened() as image:
                image.load()
                return image.copy()
        except Exception as error:
            return f"{type(error).__name__}: {error}".split(" <")[0]

    assert outcome(lambda: enhanced(data, name)) == outcome(lambda: plain(data))
    assert not model.asked
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    expected = outcome(lambda: plain(data))
    if isinstance(expected, Image.Image):
        expected = inverted(expected)
    assert outcome(lambda: enhanced(data, name)) == expected
    assert len(model.asked) == (name == "JPEG")


def test_modes_that_cannot_be_treated_raise_and_open_plainly(
    model: Any, photo: Photo, encoded: Encoded, tmp_path: Path
) -> None:
    path = tmp_path / "ink.jpg"
    photo("L").convert("CMYK").save(path)
    with enhanced(path, "JPEG") as image:
        assert image.mode == "CMYK"
        for _ in range(2):
            with pytest.raises(InputError, match=r"cannot enhance .*ink.jpg on opening: mode CMYK"):
                image.load()
    with enhanced(encoded(photo(), "JPEG"), "JPEG") as image:
        image.draft("YCbCr", None)
        with pytest.raises(InputError, match=r"this JPEG file on opening: mode YCbCr .*convert"):
            image.load()
    assert not model.asked


def test_plain_pixels_never_pass_for_treated_ones(
    plug: Callable[..., Any], photo: Photo, encoded: Encoded
) -> None:
    def fail(frame: Frame) -> Frame:
        raise ModelError("out of paint")

    pillow_gesso.register()
    plug(fail)
    for name in NAMES:
        with enhanced(encoded(photo(), name), name) as image:
            for _ in range(2):
                with pytest.raises(ModelError, match="out of paint"):
                    image.load()


def test_target_is_stated_by_the_tables_or_told_by_the_rate(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    targets = {}
    for name in NAMES:
        for quality in (10, 90):
            with enhanced(encoded(photo(size=(256, 256)), name, quality=quality), name) as image:
                image.load()
            targets[name, quality] = model.asked[-1][0]
    assert targets["JPEG", 10] == Target("jpeg", 10)
    assert targets["JPEG", 90] == Target("jpeg", 90)
    for name in ("WEBP", "AVIF"):
        assert targets[name, 10].codec == name.lower()
        assert targets[name, 10].quality < targets[name, 90].quality
    assert all(options == EnhanceOptions() for _, options in model.asked)


def test_register_sets_how_and_what_it_states_wins(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    pillow_gesso.register(
        enhance=pillow_gesso.Enhance("slow", 0.5, codec="jpeg", quality=7, seed=3)
    )
    pillow_gesso.register()
    for name in NAMES:
        with enhanced(encoded(photo(), name, quality=50), name) as image:
            image.load()
    expected = (Target("jpeg", 7), EnhanceOptions(preset="slow", tradeoff=0.5, seed=3))
    assert model.asked == [expected] * 3


def test_a_lossless_webp_has_nothing_to_mend(model: Any, photo: Photo, encoded: Encoded) -> None:
    data = encoded(photo(), "WEBP", lossless=True)
    with enhanced(data, "WEBP") as image:
        assert image.tobytes() == photo().tobytes()
    assert not model.asked
    pillow_gesso.register(enhance=pillow_gesso.Enhance(codec="webp", quality=20))
    with enhanced(data, "WEBP") as image:
        image.load()
    assert len(model.asked) == 1


def test_an_explicit_sigma_needs_no_target(
    model: Any, photo: Photo, encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> float:
        raise InputError("the quality cannot be told")

    monkeypatch.setattr("gesso.noise.quality_of_rate", unknown)
    data = encoded(photo(), "WEBP")
    with (
        enhanced(data, "WEBP") as image,
        pytest.raises(InputError, match=r"on opening: the quality cannot be told; or open it"),
    ):
        image.load()
    pillow_gesso.register(enhance=pillow_gesso.Enhance(sigma=0.1))
    with enhanced(data, "WEBP") as image:
        image.load()
    assert model.asked == [(None, EnhanceOptions(sigma=0.1))]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    case=st.sampled_from(CASES),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    quality=st.integers(1, 100),
)
def test_any_size_and_mode_is_opened_with_the_same_size_mode_and_metadata(
    case: tuple[str, str],
    size: tuple[int, int],
    quality: int,
    model: Any,
    photo: Photo,
    encoded: Encoded,
    inverted: Inverted,
) -> None:
    name, mode = case
    data = encoded(photo(mode, size), name, quality=quality, icc_profile=b"profile")
    with enhanced(data, name) as image, plain(data) as stock:
        image.load()
        stock.load()
        assert (image.size, image.mode, image.info) == (size, stock.mode, stock.info)
        assert image.tobytes() == inverted(stock).tobytes()


@pytest.mark.parametrize("options", [{}, {"faithful": True}, {"faithful": False}])
def test_what_the_file_states_is_read_where_it_is_asked_for(
    options: dict[str, Any], model: Any, photo: Photo, encoded: Encoded, tmp_path: Path
) -> None:
    pillow_gesso.register(enhance=pillow_gesso.Enhance(**options))
    data = encoded(photo(), "JPEG", quality=30)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for source in (io.BytesIO(data), path):
        with Image.open(source, formats=["ENHANCED-JPEG"]) as image:
            image.load()
        target = model.asked.pop()[0]
        assert target == Target("jpeg", 30)
        stated = target.jpeg and (target.jpeg.width, target.jpeg.height)
        assert stated == (None if options.get("faithful") is False else photo().size)


def test_faithful_names_the_file_that_states_nothing(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    pillow_gesso.register(enhance=pillow_gesso.Enhance(faithful=True))
    data = encoded(photo(), "JPEG", keep_rgb=True)
    with enhanced(data, "JPEG") as image, pytest.raises(InputError, match="JPEG file on opening"):
        image.load()
    assert not model.asked
