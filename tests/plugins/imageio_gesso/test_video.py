"""Video: every frame by itself, through whichever stock plug-in there is."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from imageio.config import known_plugins
from imageio.config.plugins import PluginConfig
from numpy.typing import NDArray

import imageio_gesso
from gesso.errors import InputError
from gesso.options import PreprocessOptions
from gesso.target import Target

Film = tuple[Path, NDArray[Any]]
# ImageIO's FFMPEG plug-in leaves its pipes open.
leaky = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``without(name)``: as if what that plug-in needs were not installed."""

    def without(name: str) -> None:
        absent = PluginConfig(name=name, class_name="Absent", module_name="absent_module")
        monkeypatch.setitem(known_plugins, name, absent)

    return without


def test_frames_are_enhanced_and_all_else_is_stock(model: Any, film: Film) -> None:
    path, frames = film
    assert np.array_equal(iio.imread(path, plugin="gesso"), frames)
    assert not model.asked
    found = iio.imread(path, plugin="gesso", enhance=True, quality=23)
    assert found.dtype == frames.dtype and np.array_equal(found, 255 - frames)
    assert [target for target, _ in model.asked] == [Target("hevc", 23)] * 3
    for index in (2, 0):
        found = iio.imread(path, plugin="gesso", index=index, enhance=True, quality=23)
        assert np.array_equal(found, 255 - frames[index])
    frames_enhanced = iio.imiter(path, plugin="gesso", enhance=True, quality=23)
    assert np.array_equal(np.stack(list(frames_enhanced)), 255 - frames)
    grey = iio.imread(path, plugin="gesso", format="gray", enhance=True, quality=23)
    assert np.array_equal(grey, 255 - iio.imread(path, plugin="pyav", format="gray"))
    assert iio.improps(path, plugin="gesso") == iio.improps(path, plugin="pyav")
    assert iio.immeta(path, plugin="gesso") == iio.immeta(path, plugin="pyav")


def test_bytes_and_streams_will_do(model: Any, film: Film, pipe: Callable[..., Any]) -> None:
    path, frames = film
    data = path.read_bytes()
    for source in (data, io.BytesIO(data), pipe(data)):
        found = iio.imread(source, plugin="gesso", enhance=True, codec="hevc", quality=23)
        assert np.array_equal(found, 255 - frames)


def test_what_cannot_be_enhanced_is_named(model: Any, film: Film) -> None:
    path, _ = film
    for settings, message in (
        ({}, "h264 video does not state the quality of its frames; pass quality="),
        ({"quality": 99}, "quality 99 is outside hevc's range"),
        ({"quality": 20, "format": "yuv444p"}, "format='yuv444p' cannot be treated; pass one of"),
    ):
        with pytest.raises(InputError, match=message):
            iio.imread(path, plugin="gesso", enhance=True, **settings)
        with pytest.raises(InputError, match=message):
            next(iio.imiter(path, plugin="gesso", enhance=True, **settings))
    assert not model.asked
    enhance = imageio_gesso.Enhance(sigma=0.1)
    assert iio.imread(path, plugin="gesso", enhance=enhance, index=0).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("settings", "quality"),
    [
        ({"codec": "libx264"}, 23),
        ({"codec": "libx265"}, 28),
        ({"codec": "libx264", "quality": 30, "out_pixel_format": "yuv420p"}, 30),
    ],
)
def test_the_file_is_the_stock_one_of_prepared_frames(
    settings: dict[str, Any], quality: float, model: Any, film: Film, tmp_path: Path
) -> None:
    _, frames = film
    path, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    iio.imwrite(path, frames, plugin="gesso", fps=10, preprocess=True, **settings)
    assert model.asked == [(Target("hevc", quality), PreprocessOptions())] * 3
    iio.imwrite(other, 255 - frames, plugin="gesso", fps=10, **settings)
    assert len(model.asked) == 3
    assert path.read_bytes() == other.read_bytes()
    if "quality" not in settings:
        iio.imwrite(other, 255 - frames, plugin="pyav", fps=10, **settings)
        assert path.read_bytes() == other.read_bytes()


def test_quality_is_the_rate_factor(film: Film, tmp_path: Path) -> None:
    imageio_gesso.register()
    sizes = []
    for quality in (20, 30, 40):
        path = tmp_path / f"{quality}.mp4"
        iio.imwrite(path, film[1], plugin="gesso", codec="libx264", fps=10, quality=quality)
        sizes.append(path.stat().st_size)
        assert f"crf={quality}.0".encode() in path.read_bytes()
    assert sizes[0] > sizes[1] > sizes[2]


def test_frames_may_come_one_by_one(model: Any, film: Film, tmp_path: Path) -> None:
    path, whole = tmp_path / "a.mp4", tmp_path / "b.mp4"
    settings: dict[str, Any] = {"codec": "libx264", "fps": 10, "quality": 30, "preprocess": True}
    with iio.imopen(path, "w", plugin="gesso") as file:
        for frame in film[1]:
            file.write(frame, is_batch=False, **settings)
        assert not path.exists()
    iio.imwrite(whole, list(film[1]), plugin="gesso", **settings)
    assert path.read_bytes() == whole.read_bytes()
    with iio.imopen(path, "w", plugin="gesso") as file:  # PyAV's own additions
        file.init_video_stream("libx264", fps=10)
        for frame in film[1]:
            file.write_frame(frame)
    assert np.array_equal(iio.imread(path, plugin="pyav").shape, film[1].shape)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codec": "mpeg4", "preprocess": True}, "know the encoders libx264, .*, not 'mpeg4'"),
        ({"codec": "libx264", "quality": 99}, "quality 99 is outside hevc's range"),
        ({"codec": "libx264", "preprocess": "unheard"}, "no preprocessor named 'unheard'"),
        (
            {"codec": "libx264", "preprocess": True, "in_pixel_format": "bgr24"},
            "in_pixel_format='bgr24' cannot be treated",
        ),
        ({"codec": "unheard"}, "unheard"),
    ],
)
def test_a_write_that_fails_leaves_an_existing_file_alone(
    settings: dict[str, Any], message: str, film: Film, tmp_path: Path
) -> None:
    imageio_gesso.register()
    path = tmp_path / "old" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(Exception, match=message):
        iio.imwrite(path, film[1], plugin="gesso", **settings)
    assert path.read_bytes() == b"old"
    with pytest.raises(KeyboardInterrupt), iio.imopen(path, "w", plugin="gesso") as file:
        file.write(film[1], codec="libx264", fps=10)
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["a.mp4"]


@leaky
def test_the_ffmpeg_plug_in_will_do(
    model: Any, film: Film, tmp_path: Path, without: Callable[[str], None]
) -> None:
    without("pyav")
    path, _ = film
    frames = iio.imread(path, plugin="FFMPEG")
    assert np.array_equal(iio.imread(path, plugin="gesso"), frames)
    found = iio.imread(path, plugin="gesso", enhance=True, quality=23)
    assert np.array_equal(found, 255 - frames)
    found = iio.imread(path, plugin="gesso", index=1, enhance=True, quality=23)
    assert np.array_equal(found, 255 - frames[1])
    iio.imwrite(tmp_path / "a.mp4", frames, plugin="gesso", fps=10, quality=5)
    assert iio.imread(tmp_path / "a.mp4", plugin="FFMPEG").shape == frames.shape
    with pytest.raises(InputError, match=r"needs PyAV; run: pip install 'gesso\[imageio,ffmpeg"):
        iio.imwrite(tmp_path / "b.mp4", frames, plugin="gesso", fps=10, preprocess=True)
    assert not (tmp_path / "b.mp4").exists()
    gc.collect()  # here, and not amid another test


def test_without_either_the_extra_is_named(film: Film, without: Callable[[str], None]) -> None:
    imageio_gesso.register()
    without("pyav")
    without("FFMPEG")
    with pytest.raises(OSError, match="can not handle the given uri") as caught:
        iio.imread(film[0], plugin="gesso")
    assert "pip install 'gesso[imageio,ffmpeg]'" in str(caught.value.__cause__)


@leaky
def test_a_damaged_file_is_the_stock_plug_in_s_error(film: Film) -> None:
    imageio_gesso.register()
    film[0].write_bytes(film[0].read_bytes()[:200])
    with pytest.raises(OSError, match=r"gesso|ffmpeg") as caught:
        iio.imread(film[0], plugin="gesso", enhance=True, quality=23)
    del caught
    gc.collect()
