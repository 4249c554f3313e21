"""The plug-in as ImageIO loads it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

import imageio_gesso
from imageio_gesso.host import GessoPlugin

Coded = Callable[..., bytes]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of ``tmp_path``."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_addresses_that_imageio_opens_will_do(
    model: Any, coded: Coded, tmp_path: Path, served: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(coded(".jpg", quality=40))
    plain = iio.imread(tmp_path / "a.jpg", plugin="pillow")
    address = f"{served}/a.jpg"
    assert np.array_equal(iio.imread(address, plugin="gesso"), plain)
    assert np.array_equal(iio.imread(address, plugin="gesso", enhance=True), 255 - plain)
    with pytest.raises(OSError, match="does not support writing to http"):
        iio.imwrite(address, plain, plugin="gesso", preprocess=True)


def test_the_class_itself_will_do(coded: Coded) -> None:
    data = coded(".jpg")
    found = iio.imread(data, plugin=GessoPlugin)
    assert np.array_equal(found, iio.imread(data, plugin="pillow"))


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.txt"])
def test_files_that_no_stock_plug_in_opens_are_imageio_s_error(name: str, tmp_path: Path) -> None:
    imageio_gesso.register()
    (tmp_path / name).write_text("no picture")
    with pytest.raises(OSError, match="`gesso` can not handle the given uri") as caught:
        iio.imread(tmp_path / name, plugin="gesso", enhance=True)
    assert "Pillow can not read" in str(caught.value.__cause__)
    with pytest.raises(OSError, match="`gesso` can not handle the given uri"):
        iio.imread((tmp_path / name).read_bytes(), plugin="gesso")
    with pytest.raises(FileNotFoundError):
        iio.imread(tmp_path / "absent.jpg", plugin="gesso")


def test_a_format_that_nobody_writes_is_imageio_s_error(tmp_path: Path) -> None:
    imageio_gesso.register()
    (tmp_path / "a.unheard").write_bytes(b"old")
    with pytest.raises(OSError, match="`gesso` can not handle the given uri"):
        iio.imwrite(tmp_path / "a.unheard", np.zeros((8, 8), np.uint8), plugin="gesso")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]


def test_keywords_that_the_stock_plug_in_does_not_take_are_its_errors(coded: Coded) -> None:
    imageio_gesso.register()
    for plugin in ("pillow", "gesso"):
        with pytest.raises(TypeError, match="unexpected keyword argument 'unheard'"):
            iio.imread(coded(".jpg"), plugin=plugin, unheard=1)
    with iio.imopen(coded(".jpg"), "r", plugin="gesso") as file:
        with pytest.raises(AttributeError, match="unheard"):
            file.unheard()
        with pytest.raises(AttributeError, match="_unheard"):
            _ = file._unheard
    with pytest.raises(OSError, match="`gesso`"):
        iio.imopen(coded(".jpg"), "r", plugin="gesso", unheard=1)
