"""ffmpeg's deblocking filters work on stills, and only because a quantiser is named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gesso import programs
from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.evaluation.peers.deblocking import DEBLOCKING, deblock
from gesso.evaluation.pipeline import Peer

JPEG = get_codec("jpeg")
BY_NAME = {peer.name: peer for peer in DEBLOCKING}
Fake = Callable[..., Path]


def difference(one: Image.Image, two: Image.Image) -> float:
    """Mean square of it."""
    error = np.asarray(one, dtype=float) - np.asarray(two, dtype=float)
    return float(np.square(error).mean())


def available(peer: Peer) -> None:
    try:
        peer.needs()
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", BY_NAME)
def test_a_coarse_jpeg_comes_nearer_to_its_source(photo: Image.Image, name: str) -> None:
    available(BY_NAME[name])
    coded = pickle.loads(pickle.dumps(BY_NAME[name].pipeline(JPEG))).run(photo, 10)
    assert difference(coded.picture, photo) < 0.99 * difference(coded.decoded, photo)


def test_the_same_picture_comes_out_every_time(photo: Image.Image) -> None:
    """In several threads about one of uspp's in seven is another, some far off."""
    available(BY_NAME["ffmpeg-uspp"])
    decoded = JPEG.decode(JPEG.encode(photo, 10))
    found = {deblock(decoded, 4, "uspp", "quality=5:qp={}").tobytes() for _ in range(8)}
    assert len(found) == 1


def test_a_quantiser_must_be_named(photo: Image.Image) -> None:
    available(BY_NAME["ffmpeg-spp"])
    decoded = JPEG.decode(JPEG.encode(photo, 10))
    idle = deblock(decoded, 0, "spp", "quality=5")
    # what is left is the way to Y'CbCr and back
    assert difference(idle, decoded) < 1
    assert difference(deblock(decoded, 8, "spp", "quality=5:qp={}"), decoded) > 5


@pytest.mark.parametrize("size", [(1, 1), (33, 17), (97, 63)])
def test_any_size_will_do(photo: Image.Image, size: tuple[int, int]) -> None:
    for peer in DEBLOCKING:
        available(peer)
        assert peer.pipeline(JPEG).run(photo.resize(size), 20).picture.size == size


def test_without_ffmpeg_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_ffmpegs", list)
    with pytest.raises(InputError, match=r"ffmpeg is not installed; .*gesso\[ffmpeg\]"):
        BY_NAME["ffmpeg-fspp"].needs()


def test_an_ffmpeg_that_gives_too_little_is_named(
    photo: Image.Image, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # it lists its filters, then swallows the picture
    listing = "import sys\nif '-filters' in sys.argv: print(' T. fspp V->V x')"
    path = str(fake("ffmpeg", listing))
    monkeypatch.setattr(programs, "_ffmpegs", lambda: [path])
    with pytest.raises(InputError, match=r"ffmpeg's fspp gave 0 bytes for 36864 samples"):
        BY_NAME["ffmpeg-fspp"].pipeline(JPEG).run(photo, 20)
