"""`gesso demo`: pictures to look at and figures that belong to them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from gesso.errors import InputError
from gesso_cli import demo as module
from gesso_cli.demo import PHOTOGRAPHS, photograph

Run = Callable[..., Result]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_there_without_a_download(name: str) -> None:
    image = photograph(name)
    assert image.mode == "RGB"
    assert min(image.size) >= 256 and max(image.size) <= 512


def test_pictures_sheets_and_figures(
    run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 64)
    out = tmp_path / "demo"
    arguments = ("demo", "--out", out, "--model", tiny, "--device", "cpu", "--steps", 1)
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    names = ("astronaut", "coffee", "chelsea")
    expected = {f"{n}-q{q}{end}" for n in names for q in (10, 20) for end in (".jpg", "-gesso.png")}
    expected |= {"compare.html", "side-by-side-q10.png", "side-by-side-q20.png"} | {
        f"{n}.png" for n in names
    }
    assert {path.name for path in out.iterdir()} == expected
    assert len(document["pictures"]) == 3 * 2 * 2
    for row in document["pictures"]:
        stem = out / f"{row['picture']}-q{row['quality']}"
        data = stem.with_suffix(".jpg").read_bytes()
        assert row["bytes"] == len(data)
        source = photograph(row["picture"])
        stream = io.BytesIO()
        source.save(stream, "JPEG", quality=row["quality"])
        assert data == stream.getvalue()
        path = f"{stem}.jpg" if row["variant"] == "plain" else f"{stem}-gesso.png"
        error = np.asarray(Image.open(path), float) - np.asarray(source, float)
        psnr = 10 * np.log10(255**2 / np.square(error).mean())
        assert row["values"]["psnr"] == pytest.approx(psnr, rel=1e-4)
        assert {"lpips", "dists"} < set(row["values"])

    again = run(*arguments, "--pictures", "coffee", "--qualities", "10")
    assert again.exit_code == 0
    [heading, line] = again.stdout.splitlines()
    assert "LPIPS plain" in heading and "DISTS plain" in heading
    assert line.split()[:2] == ["coffee", "10"]
    assert again.stderr.startswith(f"gesso: pictures are in {out}; look at compare.html, ")


def test_without_scikit_image_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no photograph named 'x'; there are astronaut,"):
        photograph("x")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    with pytest.raises(InputError, match=r"pip install 'gesso\[evaluate\]'"):
        photograph("coffee")
