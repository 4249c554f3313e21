"""Frames go to the server and come back, through Python's socket and through the plug-in's."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffmpeg_gesso.frei0r import building, serving
from ffmpeg_gesso.frei0r.serving import HELLO, MAGIC, Server
from ffmpeg_gesso.stages import FrameError
from ffmpeg_gesso.wishes import wish_of
from gesso.errors import InputError
from gesso.frame import Frame
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

IDENTITY, ENHANCE = wish_of("identity"), wish_of("enhance=fast:sigma=0.1:device=cpu")
WIDTH, HEIGHT = 5, 3
SIZE = WIDTH * HEIGHT * 4
LIMIT = 20.0


class Darkens:
    """Halves every sample; raises at the ``broken``-th frame."""

    def __init__(self) -> None:
        self.broken, self.seen = -1, 0

    @hookimpl
    def gesso_after_decode(self, frame: Frame) -> Frame:
        self.seen += 1
        if self.seen == self.broken + 1:
            raise ValueError("not this one")
        return frame.with_rgb(frame.rgb * 0.5)


@pytest.fixture
def darkens() -> Iterator[Darkens]:
    model = Darkens()
    manager().register(model)
    yield model
    manager().unregister(model)


class Rig:
    """A server of an identity and a model, with its errors."""

    def __init__(self, folder: Path) -> None:
        self.path, self.errors = folder / "socket", list[Exception]()
        self.failed = threading.Event()
        self.server = Server(self.path, [IDENTITY, ENHANCE], self._failed)
        self.server.start()

    def _failed(self, error: Exception) -> None:
        self.errors.append(error)
        self.failed.set()

    def call(self, node: int, magic: bytes = MAGIC) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(LIMIT)
        line.connect(str(self.path))
        line.sendall(HELLO.pack(magic, node, WIDTH, HEIGHT))
        return line


@pytest.fixture
def folder() -> Iterator[Path]:
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        yield Path(folder)


@pytest.fixture
def rig(folder: Path) -> Iterator[Rig]:
    rig = Rig(folder)
    yield rig
    rig.server.stop()
    rig.server.join(LIMIT)
    assert not any(thread.is_alive() for thread in rig.server._threads)


def exchange(line: socket.socket, picture: bytes) -> bytes:
    line.sendall(picture)
    back = bytearray()
    while len(back) < len(picture):
        part = line.recv(len(picture))
        if not part:
            break
        back += part
    return bytes(back)


def test_an_identity_gives_every_byte_back(rig: Rig) -> None:
    with rig.call(0) as line:
        for _ in range(3):
            picture = os.urandom(SIZE)
            assert exchange(line, picture) == picture
    assert rig.errors == []


def test_a_model_changes_colours_and_leaves_alpha(rig: Rig, darkens: Darkens) -> None:
    with rig.call(1) as line:
        back = exchange(line, bytes((200, 100, 50, 77)) * (WIDTH * HEIGHT))
    assert back == bytes((100, 50, 25, 77)) * (WIDTH * HEIGHT)


def test_a_frame_that_fails_is_named_before_ffmpeg_hears_of_it(rig: Rig, darkens: Darkens) -> None:
    darkens.broken = 3
    # A filter that begins anew, as for another size, goes on with the numbers.
    with rig.call(1) as line:
        for _ in range(2):
            assert len(exchange(line, bytes(SIZE))) == SIZE
    with rig.call(1) as line:
        assert len(exchange(line, bytes(SIZE))) == SIZE
        assert exchange(line, bytes(SIZE)) == b""
        [error] = rig.errors
    assert isinstance(error, FrameError)
    assert str(error) == "frame 3: ValueError: not this one"


@pytest.mark.parametrize(("node", "magic"), [(0, b"GSO0"), (2, MAGIC)])
def test_another_plug_in_is_refused(node: int, magic: bytes, rig: Rig) -> None:
    with rig.call(node, magic) as line:
        assert line.recv(1) == b""
    assert isinstance(rig.errors[0], InputError)


def test_whoever_only_looks_is_let_go(rig: Rig) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(str(rig.path))
    with rig.call(0) as line:
        line.sendall(b"half a picture")
    with rig.call(0) as line:
        assert exchange(line, bytes(SIZE)) == bytes(SIZE)
    assert rig.errors == []


def test_stopping_frees_whoever_waits(rig: Rig) -> None:
    with rig.call(0) as line:
        assert exchange(line, bytes(SIZE)) == bytes(SIZE)
        rig.server.stop()
        assert line.recv(1) == b""
    assert rig.errors == []


def test_a_width_that_this_ffmpeg_would_spoil(folder: Path) -> None:
    errors: list[Exception] = []
    server = Server(folder / "socket", [IDENTITY], errors.append, step=16)
    server.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(LIMIT)
        line.connect(str(folder / "socket"))
        line.sendall(HELLO.pack(MAGIC, 0, 168, HEIGHT))
        assert line.recv(1) == b""
    server.stop()
    server.join(LIMIT)
    [error] = errors
    assert "rows of 168 pixels askew; put scale= or pad= to a multiple of 16" in str(error)


def test_a_path_that_is_too_long(folder: Path) -> None:
    with pytest.raises(InputError, match="set TMPDIR to a shorter path"):
        Server(folder / ("x" * 200), [], lambda error: None)


@pytest.fixture
def library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ctypes.CDLL:
    if not any(map(shutil.which, building.COMPILERS)):
        pytest.skip("needs a C compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    building.built(folder)
    library = ctypes.CDLL(str(folder / f"gesso{building.SUFFIX}"))
    library.f0r_construct.restype = ctypes.c_void_p
    return library


def test_the_plug_in_speaks_the_same(
    library: ctypes.CDLL, rig: Rig, darkens: Darkens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESSO_SOCKET", str(rig.path))
    assert library.f0r_init() == 0
    instances = [ctypes.c_void_p(library.f0r_construct(WIDTH, HEIGHT)) for _ in range(2)]
    pictures = [os.urandom(SIZE), bytes((200, 100, 50, 77)) * (WIDTH * HEIGHT)]
    for number, (instance, picture) in enumerate(zip(instances, pictures, strict=True)):
        text = ctypes.c_char_p(str(number).encode())
        library.f0r_set_param_value(instance, ctypes.byref(text), 0)
        out = ctypes.create_string_buffer(SIZE)
        for _ in range(2):
            library.f0r_update(instance, ctypes.c_double(0), picture, out)
        wanted = (picture, bytes((100, 50, 25, 77)) * (WIDTH * HEIGHT))[number]
        assert out.raw == wanted
        library.f0r_destruct(instance)
    assert rig.errors == []


def test_the_plug_in_does_not_begin_without_a_server(
    library: ctypes.CDLL, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GESSO_SOCKET", raising=False)
    assert library.f0r_init() == -1
    monkeypatch.setenv("GESSO_SOCKET", str(folder / "nobody"))
    assert library.f0r_init() == -1
    assert library.f0r_construct(WIDTH, HEIGHT) is None


def test_the_names_of_the_fields_in_c_and_here() -> None:
    text = building.SOURCE.read_text()
    assert f'"{serving.MAGIC.decode()}"' in text
    assert "uint32_t node, width, height;" in text
