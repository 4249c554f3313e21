"""`gesso peers`: tables of gesso beside its alternatives, and the reasons of those left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from typer.testing import Result

import gesso_hooks.manager
from gesso.cards import DEFAULTS
from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.pipeline import Peer
from gesso_cli.demo import photograph
from gesso_hooks import hookimpl

Run = Callable[..., Result]


def smoothed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return decoded.filter(ImageFilter.SMOOTH)


def choosy(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    if decoded.width == 80:
        raise InputError("80 pixels are not enough")
    return decoded


def absent() -> None:
    raise InputError("varnish is not installed; run: apt install varnish")


@pytest.fixture(autouse=True)
def peers_there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plug-in's peers beside the core's; programs of others are out of the way."""

    class Plugin:
        @hookimpl
        def gesso_peers(self) -> list[Peer]:
            return [
                Peer("smooth", "enhance", "smooths", after=smoothed),
                Peer("choosy", "enhance", "", ("jpeg",), after=choosy, opt_in="it is choosy"),
                Peer("varnish", "enhance", "", after=smoothed, needs=absent),
            ]

    monkeypatch.setenv("PATH", "")
    plugin = Plugin()
    gesso_hooks.manager.manager().register(plugin)
    yield
    gesso_hooks.manager.manager().unregister(plugin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, width in enumerate((96, 80)):
        crop = np.asarray(photograph("astronaut"))[100 * index : 100 * index + 64, 150:][:, :width]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def peers(run: Run, folder: Path) -> Run:
    def call(*arguments: object) -> Result:
        rest = ("--device", "cpu", "--metrics", "psnr", "--jobs", "1")
        return run("peers", folder, *rest, *arguments)

    return call


def test_a_table_and_a_document_of_the_decoder_s_side(
    peers: Run, tiny: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    arguments = ("--model", tiny, "--qualities", "10,40", "--only", "smooth,blur,varnish")
    result = peers(*arguments, "--json", report)
    assert result.exit_code == 0, result.stderr
    document = json.loads(report.read_text())
    assert (document["codec"], document["side"], document["model"]) == ("jpeg", "enhance", "tiny")
    means = {(p["variant"], p["quality"]): p["psnr"] for p in document["points"]}
    lines = result.stdout.splitlines()
    assert lines[0] == "jpeg, 2 pictures, side enhance"
    assert lines[2].split() == ["PSNR", "10", "40", "seconds"]
    for variant, line in zip(("plain", "gesso", "blur", "smooth"), lines[3:7], strict=True):
        expected = [f"{means[variant, quality]:.2f}" for quality in (10, 40)]
        assert line.split()[:3] == [variant, *expected]
    assert lines[5].endswith("trivial filter: Gaussian blur after decoding")
    assert lines[7] == "skipped varnish: varnish is not installed; run: apt install varnish"
    assert document["skipped"] == {"varnish": "varnish is not installed; run: apt install varnish"}
    assert set(document["bd_rate"]) == set(document["bd_metric"]) == {"gesso", "blur", "smooth"}


def test_a_table_of_rates_of_the_encoder_s_side(
    peers: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEFAULTS, "preprocessor", "gone")
    effort = ("--side", "preprocess", "--effort", "fast")
    result = peers(*effort, "--only", "preblur,jpeg-progressive", "--json", "-")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert set(document["bd_rate"]) == {"preblur", "jpeg-progressive"}
    # the same picture in fewer bytes
    assert document["bd_rate"]["jpeg-progressive"]["psnr"] < -1
    assert "no preprocessor" in document["skipped"]["gesso"]
    table = peers(*effort, "--only", "jpeg-progressive")
    rate = f"{document['bd_rate']['jpeg-progressive']['psnr']:+.1f} %"
    assert table.stdout.splitlines()[2].split()[:3] == ["plain", "0.0", "%"]
    row = table.stdout.splitlines()[3]
    assert row.startswith("jpeg-progressive") and f" {rate} " in row


def test_trivial_filters_are_there_without_being_asked_for(peers: Run, tiny: Path) -> None:
    document = json.loads(peers("--model", tiny, "--qualities", "10", "--json", "-").stdout)
    variants = {point["variant"] for point in document["points"]}
    assert {"plain", "gesso", "blur", "unsharp", "smooth"} <= variants
    assert document["skipped"]["choosy"] == "it is choosy; ask for it by name"
    assert "not installed" in document["skipped"]["jpegqs"]
    for name in ("blur", "unsharp"):
        assert document["about"][name].startswith("trivial filter: ")


def test_a_picture_that_a_peer_fails_on_is_named_and_the_rest_goes_on(
    peers: Run, tiny: Path
) -> None:
    result = peers("--model", tiny, "--qualities", "10", "--only", "choosy,blur")
    assert result.exit_code == 1
    assert result.stdout.startswith("jpeg, 1 pictures")
    assert result.stderr == "gesso: 1.png: 80 pixels are not enough; it is left out\n"


def test_a_report_is_resumed(peers: Run, tiny: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = ("--model", tiny, "--qualities", "10", "--only", "blur,smooth", "--json", report)
    assert peers(*arguments).exit_code == 0
    before = json.loads(report.read_text())
    assert peers(*arguments).exit_code == 1
    assert peers(*arguments, "--resume").exit_code == 0
    # even the times are the same: nothing was measured anew
    assert json.loads(report.read_text())["pictures"] == before["pictures"]


def test_strengths_are_tried_one_by_one(peers: Run) -> None:
    arguments = ("--only", "blur", "--strengths", "0,0.5,2", "--qualities", "10")
    document = json.loads(peers(*arguments, "--json", "-").stdout)
    means = {point["variant"]: point["psnr"] for point in document["points"]}
    assert list(means) == ["plain", "blur 0", "blur 0.5", "blur 2"]
    assert means["blur 0"] == means["plain"] < means["blur 0.5"] > means["blur 2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "nonesuch"), "no peer named 'nonesuch'; there are blur, choosy"),
        (("--side", "nonesuch"), "no side 'nonesuch' to evaluate"),
        (("--model", "nonesuch"), "no prior named 'nonesuch'"),
        (("--model", "nonesuch", "--side", "preprocess"), "no preprocessor named 'nonesuch'"),
        (("--only", "smooth", "--strengths", "1"), "smooth has no strength"),
        (("--codec", "nonesuch"), "no codec named 'nonesuch'"),
    ],
)
def test_wrong_settings_are_named(peers: Run, arguments: tuple[str, ...], said: str) -> None:
    result = peers(*arguments)
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
