"""Programs that decode JPEG better: what they write is checked before it is measured."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.evaluation.peers.decoders import DECODERS
from gesso.evaluation.pipeline import Coded, Peer, Pipeline

JPEG = get_codec("jpeg")
BY_NAME = {peer.name: peer for peer in DECODERS}
Fake = Callable[..., Path]

# The two files are the last words that are no options.
FILES = """
import sys
from PIL import Image, ImageOps
source, result = [w for w in sys.argv[1:] if w.endswith((".jpg", ".jpeg", ".png"))]
"""
INVERT = FILES + "ImageOps.invert(Image.open(source)).save(result)"


def psnr(one: Image.Image, two: Image.Image) -> float:
    error = np.asarray(one, dtype=float) - np.asarray(two, dtype=float)
    return float(10 * np.log10(255**2 / max(np.square(error).mean(), 1e-9)))


def run(peer: Peer, photo: Image.Image) -> Coded:
    # spawned workers get it pickled
    pipeline: Pipeline = pickle.loads(pickle.dumps(peer.pipeline(JPEG)))
    return pipeline.run(photo, 10)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_program_reads_the_file_and_its_picture_is_shown(
    fake: Fake, photo: Image.Image, name: str
) -> None:
    program = fake(name, INVERT)
    assert BY_NAME[name].needs() == str(program)
    coded = run(BY_NAME[name], photo)
    assert psnr(coded.picture, coded.decoded) < 10
    inverted = Image.fromarray(255 - np.asarray(coded.decoded))
    assert psnr(coded.picture, inverted) > 30


@pytest.mark.parametrize("name", BY_NAME)
def test_a_missing_program_is_named_with_the_mend(fake: Fake, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is not installed; (on Debian|build it)"):
        BY_NAME[name].needs()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit('no such marker')", r"failed \(1\): no such marker"),
        ("", "wrote no picture that can be read"),
        (FILES + "open(result, 'wb').write(b'no picture')", "wrote no picture that can be read"),
        (FILES + "Image.new('RGB', (9, 9)).save(result)", r"gave a picture of \(9, 9\), not of"),
    ],
    ids=["fails", "writes nothing", "writes no picture", "writes another size"],
)
@pytest.mark.parametrize("name", BY_NAME)
def test_a_program_that_goes_wrong_is_named(
    fake: Fake, photo: Image.Image, name: str, source: str, said: str
) -> None:
    fake(name, source)
    with pytest.raises(InputError, match=f"{name}.*{said}"):
        run(BY_NAME[name], photo)


@pytest.mark.parametrize("name", BY_NAME)
def test_half_a_picture_is_none(fake: Fake, photo: Image.Image, name: str) -> None:
    cut = "\ndata = open(result, 'rb').read(); open(result, 'wb').write(data[: len(data) // 2])"
    fake(name, INVERT + cut)
    with pytest.raises(InputError, match=f"{name} wrote no picture that can be read"):
        run(BY_NAME[name], photo)


# PSNR that each gains on the face at quality 10: jpegqs 1.20210408, the others' last sources.
GAINS = {"jpegqs": 0.562, "jpeg2png": 0.089, "knusperli": 0.538}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_real_program_gains_what_it_did(photo: Image.Image, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    coded = run(BY_NAME[name], photo)
    gain = psnr(coded.picture, photo) - psnr(coded.decoded, photo)
    assert gain == pytest.approx(GAINS[name], abs=0.03)
