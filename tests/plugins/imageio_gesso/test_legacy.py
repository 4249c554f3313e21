"""ImageIO's v2 API."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v2 as v2
import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gesso.errors import InputError
from gesso.target import Target

Photo = Callable[..., Image.Image]
Film = tuple[Path, NDArray[Any]]


def test_pictures(model: Any, photo: Photo, tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.jpg", np.asarray(photo())
    v2.imwrite(path, pixels, format="gesso", quality=40, preprocess=True)
    assert model.asked[0][0] == Target("jpeg", 40)
    other: Any = iio.imwrite("<bytes>", 255 - pixels, plugin="pillow", extension=".jpg", quality=40)
    assert path.read_bytes() == other
    plain = v2.imread(path, format="pillow")
    assert np.array_equal(v2.imread(path, format="gesso"), plain)
    assert np.array_equal(v2.imread(path, format="gesso", enhance="fast"), 255 - plain)
    with pytest.raises(InputError, match="PNG cannot honour preprocess="):
        v2.imwrite(tmp_path / "a.png", pixels, format="gesso", preprocess=True)


def test_several_pictures(model: Any, photo: Photo, tmp_path: Path) -> None:
    frames = [np.asarray(photo(seed=seed)) for seed in range(3)]
    v2.mimwrite(tmp_path / "a.webp", frames, format="gesso", preprocess=True)
    assert len(model.asked) == 3
    plain = v2.mimread(tmp_path / "a.webp", format="pillow")
    found = v2.mimread(tmp_path / "a.webp", format="gesso", enhance=True)
    assert np.array_equal(found, 255 - np.stack(plain))


def test_readers_and_writers(model: Any, photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    with v2.get_writer(path, format="gesso", preprocess=True, pilmode="RGB") as writer:
        for seed in range(3):
            writer.append_data(np.asarray(photo(seed=seed)))
    assert len(model.asked) == 3
    plain = np.stack(v2.mimread(path, format="pillow"))
    with v2.get_reader(path, format="gesso", enhance=True) as reader:
        assert len(reader) == 3
        assert np.array_equal(np.stack(list(reader)), 255 - plain)
        assert np.array_equal(reader.get_data(1), 255 - plain[1])
        assert reader.get_meta_data()["mode"] == "RGB"
        assert reader.get_data(1).meta == reader.get_meta_data(1)
    with v2.get_reader(path, format="gesso", pilmode="L") as reader:
        assert reader.get_data(0).shape == plain.shape[1:3]
        assert np.array_equal(np.stack(list(reader)), plain)  # as the stock reader does


def test_a_video_of_which_only_the_pictures_are_told(model: Any, film: Film) -> None:
    path, frames = film
    other = path.with_name("b.mp4")
    v2.mimwrite(other, list(frames), format="gesso", fps=12)
    assert iio.improps(other, plugin="pyav").shape == frames.shape
    told = iio.immeta(other, plugin="pyav")
    assert (told["codec"], told["fps"]) == ("h264", 12)
    sizes = []
    for quality in (20, 45):  # of the codec that nobody named, too
        with v2.get_writer(other, format="gesso", quality=quality) as writer:
            for frame in frames:
                writer.append_data(frame)
        sizes.append(other.stat().st_size)
    assert sizes[1] < sizes[0]


# ImageIO's FFMPEG plug-in leaves its pipes open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_video(model: Any, film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    path, frames = film
    with v2.get_reader(path, format="gesso", enhance=True, quality=23) as reader:
        assert np.array_equal(np.stack(list(reader)), 255 - frames)
        assert np.array_equal(reader.get_data(1), 255 - frames[1])
        told = reader.get_meta_data()
        assert (told["codec"], told["fps"]) == ("h264", 10)
        assert reader.get_meta_data(1)["time"] == pytest.approx(0.1)
    from imageio.config import known_plugins

    monkeypatch.setitem(known_plugins, "pyav", known_plugins["SPE"])  # which opens no MP4
    with v2.get_reader(path, format="gesso") as reader:
        assert type(reader).__module__ == "imageio.plugins.ffmpeg"
        plain = np.stack([frame for frame in reader])  # list() asks for its length
    with v2.get_reader(path, format="gesso", enhance=True, quality=23) as reader:
        assert np.array_equal([frame for frame in reader], 255 - plain)
    with v2.get_writer(path.with_name("b.mp4"), format="gesso", fps=10) as writer:
        writer.append_data(plain[0])
    assert iio.imread(path.with_name("b.mp4"), plugin="FFMPEG", index=0).shape == plain[0].shape
    del reader, writer
    gc.collect()  # here, and not amid another test
