"""Pictures: the stock plug-in's results around other pixels, whole or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import imageio_gesso
import pillow_gesso
from gesso.errors import InputError, ModelError
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target

Photo = Callable[..., Image.Image]
Coded = Callable[..., bytes]
CASES = [
    (".jpg", "RGB"),
    (".jpg", "L"),
    *((extension, mode) for extension in (".webp", ".avif", ".heic") for mode in ("RGB", "RGBA")),
]
CODECS = {".jpg": "jpeg", ".mpo": "jpeg", ".webp": "webp", ".avif": "avif", ".heic": "heic"}


def inverted(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.shape[-1] not in (3, 4):
        return 255 - pixels
    colours = pixels.copy()
    colours[..., :3] = 255 - colours[..., :3]
    return colours


def same(one: Any, other: Any) -> None:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    assert np.array_equal(one, other)


@pytest.mark.parametrize(("extension", "mode"), CASES)
def test_pixels_are_enhanced_and_all_else_is_stock(
    extension: str, mode: str, model: Any, coded: Coded, photo: Photo
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = coded(extension, mode, quality=40, exif=exif.tobytes())
    plain = iio.imread(data, plugin="pillow")
    same(iio.imread(data, plugin="gesso"), plain)
    assert not model.asked
    same(iio.imread(data, plugin="gesso", enhance=True), inverted(plain))
    [(target, options)] = model.asked
    assert target.codec == CODECS[extension] and options == EnhanceOptions()
    assert extension != ".jpg" or target == Target("jpeg", 40)
    assert iio.improps(data, plugin="gesso") == iio.improps(data, plugin="pillow")
    for applied in (True, False):
        stock = iio.immeta(data, plugin="pillow", exclude_applied=applied)
        assert iio.immeta(data, plugin="gesso", exclude_applied=applied) == stock
    for extra in ({"rotate": True}, {"mode": "L"}, {"index": 0}, {"index": ...}):
        expected = inverted(iio.imread(data, plugin="pillow", **{**extra, "mode": None}))
        found = iio.imread(data, plugin="gesso", enhance="medium", **extra)
        assert found.shape[:2] == expected.shape[:2]
        if "mode" not in extra:
            same(found, expected)


@pytest.mark.parametrize(("extension", "mode"), CASES)
def test_the_file_is_the_stock_one_of_the_prepared_picture(
    extension: str, mode: str, model: Any, photo: Photo, tmp_path: Path
) -> None:
    pixels, path, other = np.asarray(photo(mode)), tmp_path / f"a{extension}", tmp_path / "b.jpg"
    iio.imwrite(path, pixels, plugin="gesso", quality=40, preprocess=True)
    other = tmp_path / f"b{extension}"
    iio.imwrite(other, inverted(pixels), plugin="pillow", quality=40)
    assert path.read_bytes() == other.read_bytes()
    [(target, options)] = model.asked
    assert target == Target(CODECS[extension], 40) and options == PreprocessOptions()
    iio.imwrite(path, pixels, plugin="gesso", quality=40, preprocess=False)
    iio.imwrite(other, pixels, plugin="pillow", quality=40)
    assert path.read_bytes() == other.read_bytes()
    assert len(model.asked) == 1


def test_default_qualities_are_those_of_the_encoders(model: Any, photo: Photo) -> None:
    for extension, quality in {".jpg": 75, ".webp": 80, ".avif": 75, ".heic": 50}.items():
        pixels: Any = np.asarray(photo())
        iio.imwrite("<bytes>", pixels, plugin="gesso", extension=extension, preprocess=True)
        assert model.asked[-1][0] == Target(CODECS[extension], quality)


@pytest.mark.parametrize("extension", [".webp", ".avif"])
def test_each_frame_of_an_animation_is_treated(
    extension: str, model: Any, photo: Photo, tmp_path: Path
) -> None:
    frames: Any = np.stack([np.asarray(photo(seed=seed)) for seed in range(3)])
    path, other = tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    iio.imwrite(path, frames, plugin="gesso", quality=40, preprocess=True, duration=40)
    assert len(model.asked) == 3
    iio.imwrite(other, inverted(frames), plugin="pillow", quality=40, duration=40)
    stock = iio.imread(path, plugin="pillow", index=...)
    same(stock, iio.imread(other, plugin="pillow", index=...))
    same(iio.imread(path, plugin="gesso", enhance=True, index=...), inverted(stock))
    for index in (2, 0, 1):
        found = iio.imread(path, plugin="gesso", enhance=True, index=index)
        same(found, inverted(stock[index]))
    for place, frame in enumerate(iio.imiter(path, plugin="gesso", enhance=True)):
        same(frame, inverted(stock[place]))
    same(np.stack(list(iio.imiter(path, plugin="gesso"))), stock)


def test_plain_and_enhanced_reads_may_alternate(model: Any, coded: Coded) -> None:
    data = coded(".jpg", quality=40)
    with iio.imopen(data, "r", plugin="gesso") as file:
        plain = file.read()
        same(file.read(enhance=True), inverted(plain))
        same(file.read(), plain)
        same(next(iter(file.iter(enhance=True))), inverted(plain))
        assert file.properties().shape == plain.shape
        assert file.metadata()["mode"] == "RGB"
        assert file.get_meta() == file.metadata(exclude_applied=False)
    # What the file states of its coefficients is there each time.
    assert all(target.jpeg is not None for target, _ in model.asked)


def test_paths_bytes_streams_and_zip_files_will_do(
    model: Any, coded: Coded, pipe: Callable[[bytes], Any], tmp_path: Path
) -> None:
    data = coded(".jpg", quality=40)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", data)
    expected = inverted(iio.imread(data, plugin="pillow"))
    sources: list[Any] = [data, path, str(path), f"file://{path}", memoryview(data)]
    sources += [io.BytesIO(data), pipe(data), f"{tmp_path}/a.zip/a.jpg"]
    for source in sources:
        same(iio.imread(source, plugin="gesso", enhance=True), expected)
    with path.open("rb") as stream:
        same(iio.imread(stream, plugin="gesso", enhance=True), expected)
        assert not stream.closed
    for destination in (path, str(path), f"{tmp_path}/b.zip/a.jpg"):
        iio.imwrite(destination, expected, plugin="gesso", quality=40, preprocess=True)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.read("a.jpg") == path.read_bytes()
    stream = io.BytesIO()
    settings = {"extension": ".jpg", "quality": 40, "preprocess": True}
    iio.imwrite(stream, expected, plugin="gesso", **settings)
    assert stream.getvalue() == path.read_bytes()
    assert iio.imwrite("<bytes>", expected, plugin="gesso", **settings) == path.read_bytes()


def test_what_the_caller_says_wins_over_what_the_file_states(model: Any, coded: Coded) -> None:
    for extension in (".jpg", ".webp", ".png"):
        data = coded(extension, **({} if extension == ".png" else {"quality": 40}))
        settings = {"codec": "webp"} if extension == ".png" else {}
        iio.imread(data, plugin="gesso", enhance=True, quality=25, **settings)
        assert model.asked[-1][0] == Target(CODECS.get(extension, "webp"), 25)
    iio.imread(coded(".png"), plugin="gesso", enhance=imageio_gesso.Enhance(sigma=0.1))
    assert model.asked[-1][0] is None


def test_a_lossless_webp_is_left_as_it_is(model: Any, coded: Coded) -> None:
    data = coded(".webp", lossless=True)
    same(iio.imread(data, plugin="gesso", enhance=True), iio.imread(data, plugin="pillow"))
    assert not model.asked


def test_a_picture_that_was_stored_without_loss_is_searched_for_traces(
    model: Any, photo: Photo
) -> None:
    stream = io.BytesIO()
    photo(size=(256, 256)).save(stream, "JPEG", quality=20, subsampling=0)
    decoded = iio.imread(stream.getvalue(), plugin="pillow")
    png: Any = iio.imwrite("<bytes>", decoded, plugin="pillow", extension=".png")
    same(iio.imread(png, plugin="gesso", enhance=True), inverted(decoded))
    assert model.asked[0][0] == Target("jpeg", 20)


@pytest.mark.parametrize(
    ("extension", "mode", "settings", "message"),
    [
        (".png", "RGB", {}, "cannot tell what this picture was coded with; pass codec="),
        (".png", "RGB", {"quality": 30}, "PNG, which is lossless, does not say what coded"),
        (".jpg", "RGB", {"quality": 101}, "quality 101 is outside jpeg's range"),
        (".jpg", "RGB", {"codec": "jepg", "quality": 9}, "no codec named 'jepg'; there are avif"),
        (".jpg", "CMYK", {}, "mode CMYK is not one of RGB, RGBA, L, LA; first use"),
        (".png", "I;16", {"codec": "jpeg", "quality": 9}, "mode I;16 is not one of"),
        (".png", "1", {"codec": "jpeg", "quality": 9}, "mode 1 is not one of"),
    ],
)
def test_what_cannot_be_enhanced_is_named(
    extension: str,
    mode: str,
    settings: dict[str, Any],
    message: str,
    model: Any,
    photo: Photo,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"named{extension}"
    photo("L").convert("I" if mode == "I;16" else mode).convert(mode).save(path)
    with pytest.raises(InputError, match=message) as caught:
        iio.imread(path, plugin="gesso", enhance=True, **settings)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=f"this {path.suffix[1:].upper()[:1]}"):
        iio.imread(path.read_bytes(), plugin="gesso", enhance=True, **settings)
    assert not model.asked


def test_an_unknown_prior_is_named(coded: Coded) -> None:
    imageio_gesso.register()
    enhance = imageio_gesso.Enhance(model="unheard")
    with pytest.raises(ModelError, match="no prior named 'unheard'; there are"):
        iio.imread(coded(".jpg"), plugin="gesso", enhance=enhance)


@pytest.mark.parametrize(
    ("name", "mode", "settings", "error", "message"),
    [
        ("a.png", "RGB", {}, InputError, "PNG cannot honour preprocess=; leave it out, or write"),
        ("a.gif", "RGB", {}, InputError, "GIF cannot honour preprocess="),
        ("a.jpg", "RGB", {"format": "PNG"}, InputError, "PNG cannot honour preprocess="),
        ("a.jpg", "RGB", {"quality": 101}, InputError, r"quality 101 is outside JPEG's range"),
        ("a.webp", "RGB", {"quality": -1}, InputError, r"outside WEBP's range \[0, 100\]"),
        ("a.jpg", "RGB", {"quality": "unheard"}, ValueError, "Invalid quality setting"),
        ("a.jpg", "RGB", {"quality": "keep"}, InputError, "only a JPEG has a quality to keep"),
        ("a.webp", "RGB", {"lossless": True}, InputError, "lossless WebP stores the picture"),
        ("a.heic", "RGB", {"quality": -1}, InputError, "stores HEIF without loss"),
        ("a.jpg", "RGBA", {}, OSError, "cannot write mode RGBA as JPEG"),
        ("a.jpg", "CMYK", {"mode": "CMYK"}, InputError, "mode CMYK is not one of"),
        ("a.jpg", "RGB", {"preprocess": 3}, InputError, "preprocess must be True, False"),
        ("a.jpg", "RGB", {"preprocess": "unheard"}, ModelError, "no preprocessor named 'unheard'"),
        ("a.jpg", "RGB", {"exif": b"x" * 70000}, ValueError, "EXIF data is too long"),
    ],
)
def test_a_write_that_fails_says_why_and_leaves_an_existing_file_alone(
    name: str,
    mode: str,
    settings: dict[str, Any],
    error: type[Exception],
    message: str,
    plug: Callable[..., Any],
    photo: Photo,
    tmp_path: Path,
) -> None:
    imageio_gesso.register()
    if settings.get("preprocess") != "unheard":
        plug(lambda frame: frame)
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        pixels = np.asarray(photo(mode))
        iio.imwrite(path, pixels, plugin="gesso", **{"preprocess": True, **settings})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("dtype", ["uint16", "float32", "bool", "int64"])
def test_pixels_that_no_lossy_format_stores_are_named(
    dtype: str, model: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"pixels of uint8, .* not of {dtype}; scale them"):
        pixels: Any = np.zeros((16, 16), dtype)
        iio.imwrite(tmp_path / "a.jpg", pixels, plugin="gesso", preprocess=True)
    assert not os.listdir(tmp_path)


def test_a_format_that_nothing_names_is_asked_for(model: Any) -> None:
    with (
        pytest.warns(UserWarning, match="Can't determine file format"),
        pytest.raises(InputError, match=r"which format to write; pass extension='.jpg'"),
    ):
        pixels: Any = np.zeros((8, 8), np.uint8)
        iio.imwrite("<bytes>", pixels, plugin="gesso", preprocess=True)


def test_without_a_keyword_a_failed_write_spares_the_file_too(photo: Photo, tmp_path: Path) -> None:
    imageio_gesso.register()
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="cannot write mode RGBA as JPEG"):
        iio.imwrite(path, np.asarray(photo("RGBA")), plugin="gesso")
    assert path.read_bytes() == b"old"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.txt", "b")
    with pytest.raises(OSError, match="cannot write mode RGBA as JPEG"):
        iio.imwrite(f"{tmp_path}/a.zip/a.jpg", np.asarray(photo("RGBA")), plugin="gesso")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["b.txt"]
    iio.imwrite("/dev/null", np.asarray(photo()), plugin="gesso", extension=".jpg")
    with pytest.raises(InputError, match="cannot write /dev/null: it is not an ordinary file"):
        model = {"preprocess": imageio_gesso.Preprocess(strength=0, effort="max")}
        iio.imwrite("/dev/null", np.asarray(photo()), plugin="gesso", extension=".jpg", **model)


def test_frames_before_one_that_fails_are_not_written(
    model: Any, photo: Photo, tmp_path: Path
) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(b"old")
    with (
        pytest.raises(InputError, match="pixels of uint8"),
        iio.imopen(path, "w", plugin="gesso") as file,
    ):
        file.write(np.asarray(photo()), preprocess=True)
        file.write(np.zeros((45, 67, 3), np.uint16))
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("extension", [".jpg", ".webp", ".png", ".tiff", ".gif", ".bmp", ".pdf"])
def test_without_a_keyword_files_have_the_stock_bytes(
    extension: str, photo: Photo, tmp_path: Path
) -> None:
    imageio_gesso.register()
    for folder in ("stock", "gesso"):
        (tmp_path / folder).mkdir()
        plugin = "pillow" if folder == "stock" else "gesso"
        iio.imwrite(tmp_path / folder / f"a{extension}", np.asarray(photo()), plugin=plugin)
    one, other = (
        (tmp_path / folder / f"a{extension}").read_bytes() for folder in ("stock", "gesso")
    )
    if extension == ".pdf":  # the time of day
        one, other = one[:600], other[:600]
    assert one == other


def test_pillow_s_own_plug_in_does_not_treat_it_again(
    model: Any, coded: Coded, photo: Photo, tmp_path: Path
) -> None:
    data = coded(".jpg", quality=40)
    plain = iio.imread(data, plugin="pillow")
    expected: Any = iio.imwrite(
        "<bytes>", inverted(plain), plugin="pillow", extension=".jpg", quality=40
    )
    try:
        with pillow_gesso.using(preprocess=True, enhance=True):
            same(iio.imread(data, plugin="gesso", enhance=True), inverted(plain))
            for extension in (".jpg", ".heic"):
                model.asked.clear()
                settings = {"extension": extension, "quality": 40, "preprocess": True}
                written = iio.imwrite("<bytes>", plain, plugin="gesso", **settings)
                assert len(model.asked) == 1
                assert extension == ".heic" or written == expected
    finally:
        pillow_gesso.unregister()
