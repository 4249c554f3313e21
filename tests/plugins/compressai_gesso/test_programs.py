"""`gesso compressai`: CompressAI's own programs and their own documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import typer
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from compressai_gesso.library import library
from compressai_gesso.plugin import gesso_commands
from gesso_cli.app import Guarded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture whose sides are no multiples of 64, large enough for MS-SSIM."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(data.astronaut()[:200, :180]).save(folder / "a.png")
    return folder


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """CompressAI's eval_model leaves one thread to whatever runs after it."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def run(*arguments: object) -> Result:
    app = typer.Typer(cls=Guarded)
    gesso_commands(app)
    return CliRunner().invoke(app, ["compressai", *(str(each) for each in arguments)])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_eval_model_writes_its_own_document(folder: Path, tmp_path: Path) -> None:
    arguments = ("eval_model", "pretrained", folder, "-a", "gesso-jpeg", "-q", "1,4")
    found = document(run("--tradeoff", "0.5", *arguments, "-d", tmp_path))
    assert (found["name"], found["description"]) == ("gesso-jpeg-mse", "Inference (ans)")
    assert sorted(found["results"]) == sorted(
        ["psnr-rgb", "ms-ssim-rgb", "bpp", "encoding_time", "decoding_time"]
    )
    assert json.loads((tmp_path / "gesso-jpeg-ans.json").read_text()) == found
    # The padding of CompressAI's program is not paid for.
    with Image.open(folder / "a.png") as image:
        image.save(tmp_path / "a.jpg", quality=36)
    assert found["results"]["bpp"][1] == 8 * (tmp_path / "a.jpg").stat().st_size / (200 * 180)
    plain = document(run("--no-enhance", *arguments))
    assert plain["results"]["bpp"] == found["results"]["bpp"]
    assert plain["results"]["psnr-rgb"][0] < found["results"]["psnr-rgb"][0]
    estimated = document(run("--no-enhance", *arguments, "--entropy-estimation"))
    assert estimated["results"]["bpp"] == pytest.approx(plain["results"]["bpp"], rel=1e-4)
    assert estimated["results"]["psnr-rgb"] == plain["results"]["psnr-rgb"]


def test_what_was_changed_for_a_run_is_put_back(folder: Path) -> None:
    program = library("utils.eval_model.__main__")
    changed = ("compute_padding", "load_pretrained", "json")
    before = [getattr(program, name) for name in changed]
    document(run("--no-enhance", "eval_model", "pretrained", folder, "-a", "gesso-jpeg", "-q", "1"))
    assert [getattr(program, name) for name in changed] == before
    bench = library("utils.bench.__main__")
    known = list(bench.codecs)
    document(run("--no-enhance", "bench", "gesso-jpeg", folder, "-q", "20"))
    assert bench.codecs == known


def test_bench_measures_at_the_codec_s_own_quality(folder: Path) -> None:
    stock = document(run("bench", "jpeg", folder, "-q", "20,50"))
    ours = document(run("--no-enhance", "bench", "gesso-jpeg", folder, "-q", "20,50"))
    assert ours["results"]["bpp"] == stock["results"]["bpp"]
    assert ours["results"]["psnr-rgb"] == pytest.approx(stock["results"]["psnr-rgb"])
    enhanced = document(run("--preset", "fast", "bench", "gesso-jpeg", folder, "-q", "20,50"))
    assert enhanced["results"]["psnr-rgb"][0] > stock["results"]["psnr-rgb"][0]
    assert (ours["name"], ours["description"]) == ("gesso-jpeg", "jpeg between gesso")


def test_documents_say_which_weights_were_used(folder: Path, tmp_path: Path, hub: Path) -> None:
    arguments = ("pretrained", folder, "-a", "gesso-bmshj2018-hyperprior", "-q", "1,4")
    result = run("--no-enhance", "eval_model", *arguments, "-d", tmp_path, "--per-image")
    found = document(result)
    weights = "weights: gesso's hyperprior-1, gesso's hyperprior-3"
    assert found["description"] == f"Inference (ans), {weights}"
    name = "gesso-bmshj2018-hyperprior"
    assert json.loads((tmp_path / f"{name}-ans.json").read_text()) == found
    for quality, own in ((1, 1), (4, 3)):
        single = json.loads((tmp_path / f"a-{name}-mse-{quality}-ans.json").read_text())
        assert single["description"] == f"Inference (ans), weights: gesso's hyperprior-{own}"
    # One line for both qualities.
    assert result.stderr.count("not the published ones") == 1
    assert "gesso: warning: CompressAI's weights of 'bmshj2018-hyperprior'" in result.stderr


def test_mistakes_are_said_with_the_mend(folder: Path, hub: Path) -> None:
    def said(*arguments: object) -> tuple[int, str]:
        result = run(*arguments)
        return result.exit_code, result.output + result.stderr

    code, text = said("--preset", "fsat", "bench")
    assert code == 1 and "preset must be one of fast, medium, slow" in text
    code, text = said("eval_model", "pretrained", folder, "-a", "gesso-jpg")
    assert code == 2 and "gesso compressai eval_model" in text and "gesso-jpeg" in text
    code, text = said("eval_model", "pretrained", folder, "-a", "gesso-mbt2018", "-q", "1")
    assert code == 1 and "GESSO_COMPRESSAI" in text
    code, text = said("eval_model", "pretrained", folder, "-a", "gesso-jpeg", "-q", "9")
    assert code == 1 and "quality must be a whole number from 1 to 8" in text
    code, text = said(
        "eval_model", "pretrained", folder, "-a", "gesso-bmshj2018-hyperprior", "-q", "3"
    )
    assert code == 1 and "the qualities 1, 2, 4 and 6 with metric 'mse' alone" in text
    code, text = said("eval_model", "--help")
    assert code == 0 and "Evaluate a model on an image dataset" in text


def test_a_stock_network_without_a_connection(
    folder: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, **_: Any) -> Any:
        raise URLError("no route")

    monkeypatch.setattr(library("zoo.image"), "load_state_dict_from_url", fetch)
    result = run("eval_model", "pretrained", folder, "-a", "mbt2018", "-q", "1")
    assert result.exit_code == 1
    assert "cannot fetch the weights of 'mbt2018' (no route)" in result.stderr
