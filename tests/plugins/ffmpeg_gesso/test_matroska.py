"""A track keeps what ffmpeg said of it, and holds raw pictures at exact times."""

from __future__ import annotations

import io

import pytest

from ffmpeg_gesso.matroska import block, colour, described, header
from gesso.errors import InputError

NANO = 10**9


@pytest.fixture(scope="module")
def track() -> bytes:
    av = pytest.importorskip("av")
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 16, 8, "yuv420p"
        video.codec_context.color_range = 2
        video.codec_context.colorspace = 1
        video.metadata["language"] = "deu"
        video.metadata["title"] = "a view"
        frame = av.VideoFrame(16, 8, "yuv420p")
        for packet in (*video.encode(frame), *video.encode()):
            container.mux(packet)
    return stream.getvalue()


def test_a_description_is_whole_when_its_tags_are_there(track: bytes) -> None:
    assert described(track)
    assert not described(track[:200])
    assert not described(b"")


def test_colour_is_read(track: bytes) -> None:
    assert colour(track) == (1, True)
    assert colour(b"") == (2, False)


@pytest.mark.parametrize("base", [1001 * NANO // 30000, NANO // 90000, 1])
def test_raw_pictures_come_back_at_their_times(track: bytes, base: int) -> None:
    import av

    size = 16 * 8 * 3 // 2
    times = [base * number for number in (0, 1, 5, 1000)]
    data = header(track, b"I420")
    for number, time in enumerate(times):
        data += block(time, base, size) + bytes([number]) * size
    with av.open(io.BytesIO(data), format="matroska") as container:
        stream = container.streams.video[0]
        found = [packet for packet in container.demux(stream) if packet.size]
        assert [packet.pts * packet.time_base * NANO for packet in found] == times
        assert [bytes(packet) for packet in found] == [bytes([n]) * size for n in range(4)]
        assert found[0].duration == base
        assert stream.codec_context.pix_fmt in ("yuv420p", "yuvj420p")
        assert stream.metadata["language"] == "deu"
        assert stream.metadata["title"] == "a view"
        assert stream.average_rate == 25


def test_no_track() -> None:
    with pytest.raises(InputError, match="no picture came"):
        header(b"", b"I420")
