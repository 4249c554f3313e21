"""Encoders of others write files that every decoder reads."""

from __future__ import annotations

import io
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gesso.codec import Codec, get_codec
from gesso.errors import InputError
from gesso.evaluation.peers import encoders, why_not
from gesso.evaluation.peers.encoders import ENCODERS
from gesso.evaluation.pipeline import Coded, Pipeline

BY_NAME = {peer.name: peer for peer in ENCODERS}
Fake = Callable[..., Path]


def coded(name: str, photo: Image.Image, quality: float) -> Coded:
    peer = BY_NAME[name]
    tested = get_codec(peer.codecs[0])
    reason = why_not(peer, tested, quality)
    if reason is not None:
        pytest.skip(reason)
    pipeline: Pipeline = pickle.loads(pickle.dumps(peer.pipeline(tested)))
    return pipeline.run(photo, quality)


def plain(photo: Image.Image, quality: float, codec: str = "jpeg") -> Coded:
    return Pipeline("plain", get_codec(codec)).run(photo, quality)


@pytest.mark.parametrize("name", BY_NAME)
def test_each_is_a_codec_of_the_format_it_competes_in(name: str) -> None:
    peer = BY_NAME[name]
    assert isinstance(peer.codec, Codec)
    base = get_codec(peer.codecs[0])
    assert peer.codec.name == name != base.name
    assert (peer.codec.extension, peer.codec.qualities) == (base.extension, base.qualities)
    assert peer.codec.qp(40) == base.qp(40)


@pytest.mark.parametrize("name", ["jpeg-progressive", "mozjpeg", "jpegli", "webp-sharp-yuv"])
def test_a_better_quality_costs_more_bytes(photo: Image.Image, name: str) -> None:
    sizes = [len(coded(name, photo, quality).data) for quality in (10, 40, 90)]
    assert sizes == sorted(set(sizes))


def test_progressive_shows_the_same_picture_in_fewer_bytes(photo: Image.Image) -> None:
    photo = photo.resize((256, 192))
    ours, theirs = plain(photo, 40), coded("jpeg-progressive", photo, 40)
    assert theirs.picture.tobytes() == ours.picture.tobytes()
    assert len(theirs.data) < len(ours.data)


def test_mozjpeg_is_progressive_and_has_tables_of_its_own(photo: Image.Image) -> None:
    file = Image.open(io.BytesIO(coded("mozjpeg", photo, 40).data))
    assert file.info["progressive"]
    own = Image.open(io.BytesIO(plain(photo, 40).data))
    assert file.quantization[0] != own.quantization[0]  # type: ignore[attr-defined]


def test_jpegli_writes_jpeg(photo: Image.Image) -> None:
    found = coded("jpegli", photo, 40)
    assert Image.open(io.BytesIO(found.data)).format == "JPEG"
    assert found.data != plain(photo, 40).data


def test_sharp_yuv_changes_what_webp_shows(photo: Image.Image) -> None:
    assert coded("webp-sharp-yuv", photo, 40).picture != plain(photo, 40, "webp").picture


def test_guetzli_writes_jpeg_at_the_qualities_it_takes(photo: Image.Image) -> None:
    small = photo.crop((0, 0, 32, 32))
    found = coded("guetzli", small, BY_NAME["guetzli"].qualities[0])
    assert Image.open(io.BytesIO(found.data)).format == "JPEG"


def test_guetzli_runs_only_when_asked_for() -> None:
    assert [peer.name for peer in ENCODERS if peer.opt_in] == ["guetzli"]


CJPEG = "import sys\n# {}\nsys.stdout.buffer.write(sys.stdin.buffer.read(2) + b'by the fake')"


def test_a_mozjpeg_on_the_path_is_preferred(fake: Fake, photo: Image.Image) -> None:
    fake("cjpeg", CJPEG.format("mozjpeg version 5"))
    assert encoders._mozjpeg(photo, 30) == b"P6by the fake"


def test_a_cjpeg_that_is_not_mozjpeg_is_left_alone(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("cjpeg", CJPEG.format("libjpeg-turbo version 3"))
    monkeypatch.setattr(encoders, "in_package", lambda *_: Path("inside"))
    assert encoders._cjpeg() == "inside"


def test_without_jpegli_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyjpegli", None)
    reason = why_not(BY_NAME["jpegli"], get_codec("jpeg"), 30)
    assert reason == "pyjpegli is not installed; run: pip install 'gesso[peers]'"


def test_without_guetzli_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    reason = why_not(BY_NAME["guetzli"], get_codec("jpeg"), 90)
    assert reason == "guetzli is not installed; on Debian: apt install guetzli"


def test_an_encoder_that_writes_rubbish_is_named(fake: Fake) -> None:
    fake("cjpeg", CJPEG.format("mozjpeg"))
    reason = why_not(BY_NAME["mozjpeg"], get_codec("jpeg"), 30)
    assert reason is not None and "no whole jpeg file" in reason


def test_what_jpegli_cannot_code_is_reported(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        @staticmethod
        def encode(*_: object, **__: object) -> bytes:
            raise RuntimeError("too large")

    monkeypatch.setitem(sys.modules, "pyjpegli", Broken)
    with pytest.raises(InputError, match="jpegli cannot code it: too large"):
        encoders._jpegli(photo, 30)
