"""x265 and x264 tuned for the eye are alternatives to HEVC stills, byte for byte."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ffmpeg_gesso.peers import PEERS
from ffmpeg_gesso.stills import HEVC
from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.peers import why_not
from gesso.evaluation.pipeline import Coded, Peer
from gesso_hooks import peers

BY_NAME = {peer.name: peer for peer in PEERS}
PHOTO = Image.fromarray(skimage.data.astronaut()[80:176, 160:288])


def coded(peer: Peer, quality: float) -> Coded:
    reason = why_not(peer, HEVC, quality)
    if reason is not None:
        pytest.skip(reason)
    result: Coded = pickle.loads(pickle.dumps(peer.pipeline(HEVC))).run(PHOTO, quality)
    return result


def psnr(found: Coded) -> float:
    error = np.asarray(found.picture, dtype=float) - np.asarray(PHOTO, dtype=float)
    return float(10 * np.log10(255**2 / np.square(error).mean()))


def test_they_are_known_and_compete_with_hevc_alone() -> None:
    there = peers()
    for name, peer in BY_NAME.items():
        assert there[name] == peer
        assert (peer.side, peer.codecs) == ("preprocess", ("hevc",))
        assert isinstance(peer.codec, Codec)


@pytest.mark.parametrize("name", BY_NAME)
def test_colours_and_sizes_are_right(name: str) -> None:
    fine, coarse = coded(BY_NAME[name], 10), coded(BY_NAME[name], 37)
    assert psnr(fine) > 36 > psnr(coarse) > 24
    assert len(coarse.data) < len(fine.data) / 3


@pytest.mark.parametrize("name", BY_NAME)
def test_they_decide_otherwise_than_the_codec_under_test(name: str) -> None:
    assert coded(BY_NAME[name], 32).data != HEVC.encode(PHOTO, 32)


def test_x264_writes_no_letter_about_its_settings() -> None:
    found = coded(BY_NAME["x264-stillimage"], 37)
    assert b"x264" not in found.data
    assert len(found.data) < 2000


def test_x264_names_the_sides_it_cannot_code() -> None:
    peer = BY_NAME["x264-stillimage"]
    coded(peer, 37)
    with pytest.raises(InputError, match=r"127 x 96 pixels: H\.264 codes even sides only"):
        peer.pipeline(HEVC).run(PHOTO.crop((0, 0, 127, 96)), 37)
