"""save(..., preprocess=...): stock files of treated pictures, whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence, features

import pillow_gesso
from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from gesso.options import PreprocessOptions

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Inverted = Callable[[Image.Image], Image.Image]
CASES = [
    ("JPEG", "RGB"),
    ("JPEG", "L"),
    ("MPO", "RGB"),
    *((name, mode) for name in ("WEBP", "AVIF") for mode in ("RGB", "RGBA", "L", "LA")),
]
LOSSY = sorted({name for name, _ in CASES})


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_file_is_the_stock_encoder_s_of_the_treated_picture(
    name: str,
    mode: str,
    model: Any,
    photo: Photo,
    inverted: Inverted,
    encoded: Encoded,
    tmp_path: Path,
) -> None:
    image = photo(mode)
    before = image.tobytes()
    expected = encoded(inverted(image), name, quality=40)
    path = tmp_path / f"a.{name.lower()}"
    image.save(path, quality=40, preprocess=True)
    assert path.read_bytes() == expected
    assert encoded(image, name, quality=40, preprocess=True) == expected
    assert image.tobytes() == before
    [target, again] = [target for target, _ in model.asked]
    assert target == again
    assert target.codec == ("jpeg" if name == "MPO" else name.lower())
    assert target.quality == 40


@pytest.mark.parametrize(
    ("said", "options"),
    [
        (True, PreprocessOptions()),
        ("mine", PreprocessOptions(model="mine")),
        (pillow_gesso.Preprocess("mine", 0.5), PreprocessOptions("mine", 0.5)),
    ],
)
def test_keyword_takes_true_a_name_or_options(
    said: object, options: PreprocessOptions, model: Any, photo: Photo, encoded: Encoded
) -> None:
    encoded(photo(), "JPEG", preprocess=said)
    assert [asked for _, asked in model.asked] == [options]


@pytest.mark.parametrize("said", [False, None])
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_false_and_none_ask_for_nothing(
    said: object, name: str, model: Any, photo: Photo, encoded: Encoded
) -> None:
    assert encoded(photo(), name, preprocess=said) == encoded(photo(), name)
    assert not model.asked


@pytest.mark.parametrize("said", [3, 0.5, ["mine"], object()])
def test_anything_else_is_refused(said: object, model: Any, photo: Photo) -> None:
    with pytest.raises(InputError, match="preprocess must be True, False, a model's name"):
        photo().save(io.BytesIO(), "JPEG", preprocess=said)


def test_what_the_picture_carries_reaches_the_encoder(
    model: Any, photo: Photo, inverted: Inverted, encoded: Encoded
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    first = encoded(
        photo(), "JPEG", quality=35, subsampling="4:2:2", comment=b"hand made", exif=exif,
        icc_profile=b"profile", dpi=(72, 72), xmp=b"<x/>", progressive=True,
    )  # fmt: skip
    with Image.open(io.BytesIO(first)) as source:
        kept = encoded(
            source, "JPEG", quality="keep", exif=source.info["exif"], preprocess=True,
            icc_profile=source.info["icc_profile"], dpi=source.info["dpi"],
        )  # fmt: skip
        turned = inverted(source)
    with Image.open(io.BytesIO(kept)) as result, Image.open(io.BytesIO(first)) as source:
        assert result.quantization == source.quantization  # type: ignore[attr-defined]
        assert result.layer == source.layer  # type: ignore[attr-defined]
        for key in ("comment", "exif", "icc_profile", "dpi"):
            assert result.info[key] == source.info[key]
        expected = encoded(
            turned, "JPEG", subsampling="4:2:2", qtables=source.quantization,  # type: ignore[attr-defined]
        )  # fmt: skip
    with Image.open(io.BytesIO(expected)) as plain, Image.open(io.BytesIO(kept)) as result:
        assert plain.tobytes() == result.tobytes()
    assert model.asked[0][0].quality == 35


@pytest.mark.parametrize("save_all", [False, True])
def test_formats_that_cannot_honour_it_say_so(
    save_all: bool, model: Any, photo: Photo, tmp_path: Path
) -> None:
    Image.init()
    table = Image.SAVE_ALL if save_all else Image.SAVE
    others = [name for name in table if name not in LOSSY]
    assert {"PNG", "TIFF", "GIF", "PDF"} <= set(others)
    path = tmp_path / "old"
    for name in others:
        path.write_bytes(b"old")
        with pytest.raises(InputError, match=f"^{name} cannot honour preprocess=.*save as AVIF"):
            photo().save(path, name, preprocess=True, save_all=save_all)
        assert path.read_bytes() == b"old"
    with pytest.raises(InputError, match="PNG"):
        photo().save(tmp_path / "new.png", preprocess=True)
    assert os.listdir(tmp_path) == ["old"]


def test_a_format_that_is_imported_late_says_so_too(
    model: Any, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Image.SAVE, "LATE", lambda image, fp, name: fp.write(b"untreated"))
    monkeypatch.setitem(Image.EXTENSION, ".late", "LATE")
    stream = io.BytesIO()
    stream.name = "a.late"
    with pytest.raises(InputError, match="LATE cannot honour"):
        photo().save(stream, preprocess=True)
    assert not stream.getvalue()


def test_what_pillow_cannot_name_is_pillow_s_error(model: Any, photo: Photo) -> None:
    with pytest.raises(ValueError, match="unknown file extension"):
        photo().save("a.unheard", preprocess=True)
    with pytest.raises(KeyError, match="UNHEARD"):
        photo().save(io.BytesIO(), "unheard", preprocess=True)


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("existing", [False, True])
def test_without_a_preprocessor_it_names_the_models_and_leaves_the_folder_alone(
    name: str, existing: bool, photo: Photo, tmp_path: Path
) -> None:
    pillow_gesso.register()
    path = tmp_path / f"a.{name.lower()}"
    if existing:
        path.write_bytes(b"old")
    with pytest.raises(ModelError, match="no preprocessor named 'unheard'; there are: "):
        photo().save(path, preprocess="unheard")
    assert os.listdir(tmp_path) == ([path.name] if existing else [])
    assert not existing or path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "mode", "params", "error"),
    [
        ("JPEG", "RGBA", {}, OSError),
        ("JPEG", "P", {}, OSError),
        ("JPEG", "CMYK", {}, InputError),
        ("WEBP", "P", {}, InputError),
        ("AVIF", "I;16", {}, InputError),
        ("AVIF", "1", {}, InputError),
        ("JPEG", "RGB", {"exif": b"x" * 70000}, ValueError),
        ("JPEG", "RGB", {"quality": "unheard"}, ValueError),
        ("JPEG", "RGB", {"quality": "keep"}, InputError),
        ("AVIF", "RGB", {"quality": "unheard"}, ValueError),
        ("WEBP", "RGB", {"quality": None}, TypeError),
        ("WEBP", "RGB", {"lossless": True}, InputError),
    ],
)
def test_a_save_that_fails_leaves_an_existing_file_alone(
    name: str,
    mode: str,
    params: dict[str, Any],
    error: type[Exception],
    model: Any,
    photo: Photo,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"a.{name.lower()}"
    path.write_bytes(b"old")
    with pytest.raises(error) as caught:
        photo("L").convert(mode).save(path, preprocess=True, **params)
    if mode != "RGB" and error is InputError:
        assert f"mode {mode} is not one of" in str(caught.value)
        assert "first use " in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_destination_that_cannot_be_written_is_named(
    model: Any, photo: Photo, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="create its folder first"):
        photo().save(tmp_path / "none" / "a.jpg", preprocess=True)
    with pytest.raises(InputError, match="it is a folder"):
        photo().save(tmp_path, "JPEG", preprocess=True)


def test_ctrl_c_leaves_nothing_behind(
    plug: Callable[..., Any], photo: Photo, tmp_path: Path
) -> None:
    def interrupt(frame: Frame) -> Frame:
        raise KeyboardInterrupt

    pillow_gesso.register()
    plug(interrupt)
    with pytest.raises(KeyboardInterrupt):
        photo().save(tmp_path / "a.webp", preprocess=True)
    assert not os.listdir(tmp_path)


def test_a_file_can_be_saved_over_itself(
    model: Any, photo: Photo, inverted: Inverted, encoded: Encoded, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    photo().save(path)
    with Image.open(path) as image:
        expected = encoded(inverted(image.copy()), "JPEG", quality=50)
        image.save(path, quality=50, preprocess=True)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_any_path_will_do(
    kind: Callable[[Path], Any], model: Any, photo: Photo, tmp_path: Path
) -> None:
    photo().save(kind(tmp_path / "a.JPG"), preprocess=True)
    photo().save(tmp_path / "b.jpg", preprocess=True)
    assert (tmp_path / "a.JPG").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert len(model.asked) == 2


def test_encoderinfo_asks_as_the_keyword_does(model: Any, photo: Photo, encoded: Encoded) -> None:
    image = photo()
    expected = encoded(image, "JPEG", quality=20, preprocess=True)
    image.encoderinfo = {"preprocess": True, "quality": 20}
    assert encoded(image, "JPEG") == expected
    assert image.encoderinfo == {"preprocess": True, "quality": 20}


@pytest.mark.parametrize("name", ["WEBP", "AVIF", "MPO"])
def test_every_frame_is_treated(
    name: str, model: Any, photo: Photo, inverted: Inverted, encoded: Encoded
) -> None:
    frames = [photo(seed=seed) for seed in range(4)]
    timed = {} if name == "MPO" else {"duration": [30, 40, 50, 60]}
    expected = encoded(
        inverted(frames[0]), name, save_all=True, append_images=map(inverted, frames[1:]), **timed
    )
    got = encoded(
        frames[0], name, save_all=True, append_images=iter(frames[1:]), preprocess=True, **timed
    )
    assert got == expected
    assert len(model.asked) == 4


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_frames_of_an_animated_file_are_treated_and_its_place_is_kept(
    name: str, model: Any, photo: Photo, inverted: Inverted, encoded: Encoded
) -> None:
    frames = [photo(seed=seed) for seed in range(3)]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], quality=95)
    with Image.open(io.BytesIO(data)) as source:
        turned = [inverted(frame) for frame in ImageSequence.Iterator(source)]
        expected = encoded(turned[0], name, save_all=True, append_images=turned[1:])
        source.seek(1)
        encoded(source, name, save_all=True)
        place = source.tell()
        source.seek(1)
        assert encoded(source, name, save_all=True, preprocess=True) == expected
        assert source.tell() == place
        source.seek(2)
        assert source.convert("RGB").tobytes() == inverted(turned[2]).convert("RGB").tobytes()


def test_a_file_that_shows_its_mode_and_size_at_load_is_treated(
    model: Any, photo: Photo, inverted: Inverted, encoded: Encoded
) -> None:
    class Late(Image.Image):  # as EPS and ICO files do
        def load(self) -> Any:
            picture = photo("L")
            self._mode, self._size, self.im = picture.mode, picture.size, picture.im
            return super().load()

    late = Late()
    late._mode, late._size = "RGB", (1, 1)
    assert encoded(late, "JPEG", preprocess=True) == encoded(inverted(photo("L")), "JPEG")


def test_an_animation_that_mixes_losses_is_treated(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    frames = [photo(seed=seed) for seed in range(2)]
    mixed = {"lossless": True, "allow_mixed": True, "preprocess": True}
    encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], **mixed)
    assert len(model.asked) == 2
    with pytest.raises(InputError, match="lossless WebP"):
        encoded(frames[0], "WEBP", save_all=True, **mixed)


def test_a_model_that_changes_the_size_is_refused(plug: Callable[..., Any], photo: Photo) -> None:
    pillow_gesso.register()
    plug(lambda frame: Frame.of(photo(size=(8, 8))))
    with pytest.raises(ModelError, match="a plug-in turned a RGB picture of 67x45 into RGB, 8x8"):
        photo().save(io.BytesIO(), "JPEG", preprocess=True)


def test_a_model_may_save_and_open_pictures_itself(
    plug: Callable[..., Any], photo: Photo, encoded: Encoded
) -> None:
    def trial(frame: Frame) -> Frame:
        data = encoded(frame.restore(), "JPEG", quality=10)
        with Image.open(io.BytesIO(data)) as image:
            return Frame.of(image.convert("RGB"))

    model = plug(trial)
    with pillow_gesso.using(preprocess=True, enhance=True):
        data = encoded(photo(), "JPEG")
        assert len(model.asked) == 1
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        assert len(model.asked) == 2


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    case=st.sampled_from(CASES),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    quality=st.integers(0, 100),
    seed=st.integers(0, 3),
)
def test_any_size_and_mode_comes_out_with_the_same_size_mode_and_metadata(
    case: tuple[str, str],
    size: tuple[int, int],
    quality: int,
    seed: int,
    model: Any,
    photo: Photo,
    inverted: Inverted,
    encoded: Encoded,
) -> None:
    name, mode = case
    image = photo(mode, size, seed)
    exif = Image.Exif()
    exif[0x010E] = "described"
    plain = encoded(inverted(image), name, quality=quality, exif=exif)
    treated = encoded(image, name, quality=quality, exif=exif, preprocess=True)
    assert treated == plain
    with Image.open(io.BytesIO(treated)) as result:
        assert result.size == size
        assert np.asarray(result).shape[:2] == size[::-1]
