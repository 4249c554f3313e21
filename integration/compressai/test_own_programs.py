"""`gesso compressai` as a user types it: CompressAI's programs on whole pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage import data

from compressai_gesso.library import library

GESSO = [sys.executable, "-c", "from gesso_cli.app import main; main()", "compressai"]
CUT_OFF = [
    sys.executable,
    "-c",
    """
import socket

def refuse(*_, **__):
    raise OSError("no network here")

socket.create_connection = socket.getaddrinfo = socket.socket.connect = refuse
from gesso_cli.app import main

main()
""",
    "compressai",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, one of them with sides that are no multiples of 64."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(data.astronaut()[:192, :256]).save(folder / "a.png")
    Image.fromarray(data.coffee()[100:297, 200:399]).save(folder / "b.png")
    return folder


def run(command: list[str], *arguments: object, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *(str(argument) for argument in arguments)],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )


def gesso(*arguments: object) -> Any:
    done = run(GESSO, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_network_with_weights_that_ship(folder: Path) -> None:
    arguments = ("eval_model", "pretrained", folder, "-a", "gesso-hyperprior", "-q", "1,3")
    found = gesso(*arguments)
    assert found["name"] == "gesso-hyperprior-mse"
    figures = found["results"]
    assert figures["bpp"][0] < figures["bpp"][1]
    assert 20 < figures["psnr-rgb"][0] < figures["psnr-rgb"][1]
    plain = gesso("--no-enhance", *arguments)["results"]
    assert plain["bpp"] == figures["bpp"] and plain["psnr-rgb"] != figures["psnr-rgb"]


def test_a_network_of_the_zoo_without_a_network_connection(folder: Path, tmp_path: Path) -> None:
    """No stock weights, nothing to connect with: our own stand in, and the document says so."""
    arguments = ("eval_model", "pretrained", folder, "-q", "1,4", "-a")
    places = {"TORCH_HOME": str(tmp_path), "GESSO_COMPRESSAI": ""}
    entry = "gesso-bmshj2018-hyperprior"
    done = run(CUT_OFF, "--no-enhance", *arguments, entry, "-d", tmp_path, **places)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("whose rates and figures are not the published ones") == 1
    found = json.loads(done.stdout)
    assert found["name"] == f"{entry}-mse"
    assert found["description"].endswith("weights: gesso's hyperprior-1, gesso's hyperprior-3")
    shipped = gesso(
        "--no-enhance", "eval_model", "pretrained", folder, "-q", "1,3", "-a", "gesso-hyperprior"
    )
    for name in ("bpp", "psnr-rgb", "ms-ssim-rgb"):
        assert found["results"][name] == shipped["results"][name]
    stock = run(CUT_OFF, *arguments, "bmshj2018-hyperprior", **places)
    assert stock.returncode == 1 and "cannot fetch the weights" in stock.stderr
    # CompressAI's own plotting tool takes the document.
    plot = [sys.executable, "-m", "compressai.utils.plot"]
    document, curve = tmp_path / f"{entry}-ans.json", tmp_path / "curve.png"
    drawn = run(plot, "-f", document, "-m", "ms-ssim", "-o", curve, MPLBACKEND="agg")
    assert drawn.returncode == 0, drawn.stderr
    with Image.open(curve) as image:
        assert min(image.size) > 500


def test_a_checkpoint_of_the_user_s_is_the_base_model_s_own(folder: Path, tmp_path: Path) -> None:
    """The same bits and decodes as CompressAI's own entry, but for gesso's side."""
    library("models")
    network = library("registry").MODELS["mbt2018-mean"](8, 12)
    torch.save(network.state_dict(), tmp_path / "mine.tar.pth")
    (tmp_path / "one").mkdir()
    Image.open(folder / "a.png").save(tmp_path / "one" / "a.png")
    arguments = ("-p", tmp_path / "mine.tar.pth")
    program = ("eval_model", "checkpoint", tmp_path / "one", "-a")
    stock = gesso(*program, "mbt2018-mean", *arguments)["results"]
    ours = gesso("--no-enhance", *program, "gesso-mbt2018-mean", *arguments)["results"]
    for name in ("bpp", "psnr-rgb", "ms-ssim-rgb"):
        assert ours[name] == stock[name]


def test_bench_in_two_processes(folder: Path) -> None:
    ours = gesso("--no-enhance", "bench", "gesso-webp", folder, "-q", "20,60", "-j", "2")
    stock = gesso("bench", "webp", folder, "-q", "20,60", "-j", "2")
    assert ours["results"]["bpp"] == stock["results"]["bpp"]
