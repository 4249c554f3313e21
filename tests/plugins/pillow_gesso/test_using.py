"""using(...): for code that one cannot edit, in this thread or task alone."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pillow_gesso
from gesso.errors import InputError, ModelError
from gesso.options import EnhanceOptions, PreprocessOptions
from pillow_gesso import Enhance, Preprocess, using

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Inverted = Callable[[Image.Image], Image.Image]
NAMES = ("JPEG", "WEBP", "AVIF")


@pytest.mark.parametrize("name", [*NAMES, "MPO"])
def test_saves_inside_are_preprocessed_and_those_outside_are_not(
    name: str, model: Any, photo: Photo, encoded: Encoded, tmp_path: Path
) -> None:
    plain, treated = encoded(photo(), name), encoded(photo(), name, preprocess=True)
    with using(preprocess=True):
        assert encoded(photo(), name) == treated
        assert encoded(photo(), name, preprocess=False) == plain
        photo().save(tmp_path / "a", name)
        assert (tmp_path / "a").read_bytes() == treated
    assert encoded(photo(), name) == plain


@pytest.mark.parametrize("name", NAMES)
def test_opens_inside_are_enhanced_whenever_they_are_loaded(
    name: str, model: Any, photo: Photo, encoded: Encoded, inverted: Inverted
) -> None:
    data = encoded(photo(), name)
    before = Image.open(io.BytesIO(data))
    with using(enhance=True):
        inside = Image.open(io.BytesIO(data))
        expected = inverted(before)
    after = Image.open(io.BytesIO(data))
    assert inside.tobytes() == expected.tobytes()
    assert after.tobytes() == before.tobytes() == inverted(expected).tobytes()
    assert inside.format == name


def test_other_formats_and_what_cannot_be_treated_are_left_alone(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    stamps = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0)}
    cases = [
        ("PNG", "RGB", {}),
        ("TIFF", "RGB", {"compression": "jpeg"}),
        ("PDF", "RGB", stamps),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "P", {}),
        ("AVIF", "I;16", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "1", {}),
    ]
    plain = [encoded(photo("L").convert(mode), name, **more) for name, mode, more in cases]
    with using(preprocess=True, enhance=True):
        for data, (name, mode, more) in zip(plain, cases, strict=True):
            assert encoded(photo("L").convert(mode), name, **more) == data
        with Image.open(io.BytesIO(plain[0])) as image:
            image.load()
        with Image.open(io.BytesIO(plain[7])) as image:
            assert image.mode == "CMYK"
            ink = image.tobytes()
    assert not model.asked
    with Image.open(io.BytesIO(plain[7])) as image:
        assert image.tobytes() == ink


def test_frames_whose_mode_shows_at_load_are_saved_as_stock_saves_them(
    plug: Callable[..., Any], photo: Photo, encoded: Encoded
) -> None:
    # Pillow gives the first frame of a GIF as P and the later ones as RGB.
    frames = [photo(seed=seed) for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[20, 30, 40])
    pillow_gesso.register()
    model = plug(lambda frame: frame.with_rgb(frame.rgb))
    with Image.open(io.BytesIO(data)) as image:
        expected = encoded(image, "WEBP", save_all=True)
        with using(preprocess=True):
            assert encoded(image, "WEBP", save_all=True) == expected
    assert len(model.asked) == 2


def test_pillow_s_own_errors_stay_what_legacy_code_expects(
    model: Any, photo: Photo, tmp_path: Path
) -> None:
    with using(preprocess=True):
        with pytest.raises(FileNotFoundError):
            photo().save(tmp_path / "none" / "a.jpg")
        with pytest.raises(IsADirectoryError):
            photo().save(tmp_path, "JPEG")
        with pytest.raises(OSError, match="cannot write mode RGBA as JPEG"):
            photo("RGBA").save(tmp_path / "a.jpg")
        with pytest.raises(ValueError, match="Invalid quality"):
            photo().save(tmp_path / "a.jpg", quality="unheard")
        with pytest.raises(ValueError, match="cannot write empty image"):
            Image.new("RGB", (0, 0)).save(tmp_path / "a.jpg")
        assert not os.listdir(tmp_path)
        photo().save(os.devnull, "JPEG")
    assert model.asked


def test_a_failing_model_is_told_even_inside(photo: Photo, encoded: Encoded) -> None:
    with using(preprocess="unheard"), pytest.raises(ModelError, match="no preprocessor named"):
        encoded(photo(), "JPEG")


def test_the_inner_wish_wins_and_none_is_the_outer_one(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    def asked() -> list[Any]:
        model.asked.clear()
        data = encoded(photo(), "JPEG")
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        return [options for _, options in model.asked]

    with using(preprocess="outer"):
        assert asked() == [PreprocessOptions("outer")]
        with using(enhance="slow"):
            assert asked() == [PreprocessOptions("outer"), EnhanceOptions(preset="slow")]
            with using(preprocess=Preprocess("inner", 0.5), enhance=Enhance(seed=4)):
                assert asked() == [PreprocessOptions("inner", 0.5), EnhanceOptions(seed=4)]
            with using(preprocess=False, enhance=False):
                assert asked() == []
        assert asked() == [PreprocessOptions("outer")]
    assert asked() == []


def test_enhanced_formats_keep_their_own_options_inside(
    model: Any, photo: Photo, encoded: Encoded
) -> None:
    pillow_gesso.register(enhance=Enhance(seed=9))
    data = encoded(photo(), "JPEG")
    with using(enhance=True), Image.open(io.BytesIO(data), formats=["ENHANCED-JPEG"]) as image:
        image.load()
    assert [options for _, options in model.asked] == [EnhanceOptions(seed=9)]


def test_an_error_ends_it(model: Any, photo: Photo, encoded: Encoded) -> None:
    with pytest.raises(RuntimeError), using(preprocess=True):
        raise RuntimeError
    encoded(photo(), "JPEG")
    assert not model.asked


def test_wrong_wishes_are_refused(model: Any) -> None:
    with pytest.raises(InputError, match="preprocess must be"), using(preprocess=3):
        pass
    with pytest.raises(InputError, match="enhance must be"), using(enhance=3):
        pass


def test_other_threads_do_not_see_it(model: Any, photo: Photo, encoded: Encoded) -> None:
    plain = encoded(photo(), "JPEG")
    results: list[bytes] = []
    with using(preprocess=True):
        thread = threading.Thread(target=lambda: results.append(encoded(photo(), "JPEG")))
        thread.start()
        thread.join()
    assert results == [plain]


def test_other_tasks_do_not_see_it(model: Any, photo: Photo, encoded: Encoded) -> None:
    plain, treated = encoded(photo(), "JPEG"), encoded(photo(), "JPEG", preprocess=True)

    async def inside(entered: asyncio.Event, done: asyncio.Event) -> bytes:
        with using(preprocess=True):
            entered.set()
            await done.wait()
            return encoded(photo(), "JPEG")

    async def both() -> tuple[bytes, bytes]:
        entered, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(inside(entered, done))
        await entered.wait()
        outside = encoded(photo(), "JPEG")
        done.set()
        return outside, await task

    assert asyncio.run(both()) == (plain, treated)


@pytest.mark.parametrize("name", NAMES)
def test_eight_threads_write_and_read_what_one_does(
    name: str, model: Any, photo: Photo, encoded: Encoded
) -> None:
    shared = photo(size=(64, 48))
    plain = encoded(shared, name, quality=50)
    expected = encoded(shared, name, quality=50, preprocess=True)
    with Image.open(io.BytesIO(plain), formats=[f"ENHANCED-{name}"]) as image:
        pixels = image.tobytes()
    start = threading.Barrier(8)

    def work(number: int) -> bool:
        start.wait()
        for _ in range(6):
            # One picture for all: a save must leave nothing on it that another could meet.
            if encoded(shared, name, quality=50, preprocess=True) != expected:
                return False
            with Image.open(io.BytesIO(plain), formats=[f"ENHANCED-{name}"]) as image:
                if image.tobytes() != pixels:
                    return False
            with using(preprocess=bool(number % 2)):
                if encoded(photo(size=(64, 48)), name, quality=50) != (plain, expected)[number % 2]:
                    return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert not getattr(shared, "encoderinfo", {})
