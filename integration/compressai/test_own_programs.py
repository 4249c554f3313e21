"""`gesso compressai` as a user types it: CompressAI's programs on whole pictures."""

from __future__ import annotations

import json
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, one of them with sides that are no multiples of 64."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(data.astronaut()[:192, :256]).save(folder / "a.png")
    Image.fromarray(data.coffee()[100:297, 200:399]).save(folder / "b.png")
    return folder


def gesso(*arguments: object) -> Any:
    command = [*GESSO, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
