"""Metrics of whole sets keep what they need, and are taken up like everything else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from gesso.codec import Codec, get_codec
from gesso.evaluation import features, fid, measure
from gesso.evaluation.fid import SetMetric, frechet_distance
from gesso.evaluation.pipeline import Pipeline
from gesso.frame import Frame
from gesso.runtime import Runtime

CPU = Runtime(device_name="cpu")
JPEG = get_codec("jpeg")


class Quick(SetMetric):
    """The real thing with a network of two numbers: mean and spread of each 32 x 32 patch."""

    seen = 0

    def features(self, pictures: Tensor) -> Tensor:
        Quick.seen += len(pictures)
        patches = pictures.unfold(2, 32, 32).unfold(3, 32, 32).flatten(4)
        return torch.stack([patches.mean((1, 4)), patches.std((1, 4))], -1).reshape(-1, 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"fid": Quick("fid", "FID", fewest=2), "few": Quick("few", "few", fewest=1000)}
    for module in (fid, features, measure):
        monkeypatch.setattr(module, "SET_METRICS", chosen)
    Quick.seen = 0


def smoothed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return decoded.filter(ImageFilter.SMOOTH)


VARIANTS: dict[str, Any] = {
    "plain": (Pipeline("plain", JPEG), [10, 40]),
    "gesso": (Pipeline("gesso", JPEG, after=smoothed), [10, 40]),
}


def test_the_distance_is_between_all_sources_and_all_results(files: list[Path]) -> None:
    report = measure.measure(files, VARIANTS, ["psnr", "fid"], CPU)
    metric = Quick("fid", "FID")
    sources = [Frame.of(Image.open(file)).rgb for file in files]
    shown = [Frame.of(VARIANTS["gesso"][0].run(Image.open(f), 10).picture).rgb for f in files]
    expected = frechet_distance(
        *(torch.cat([metric.features(p) for p in side]) for side in (sources, shown))
    )
    assert report.mean(10, "gesso", "fid") == pytest.approx(expected, rel=1e-6)
    document = report.to_json()
    assert [p["fid"] for p in document["points"]] == [
        report.sets[v, q]["fid"] for q in (10, 40) for v in ("plain", "gesso")
    ]
    assert "fid" not in report.pictures[0].points[0].values
    assert report.remarks == {}


def test_one_picture_has_no_distance_and_loses_nothing_else(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "one.png")
    report = measure.measure([tmp_path / "one.png"], VARIANTS, ["psnr", "fid"], CPU)
    assert report.mean(10, "plain", "psnr") > 10
    assert math.isnan(report.mean(10, "plain", "fid"))
    document = report.to_json()
    assert document["notes"]["fid"].startswith("one sample")
    assert [point["fid"] for point in document["points"]] == [None] * 4


def test_too_few_vectors_are_remarked(files: list[Path]) -> None:
    document = measure.measure(files, VARIANTS, ["few"], CPU).to_json()
    assert document["notes"]["few"].startswith("18 samples; below 1000 the value is biased")


def test_without_a_report_nothing_is_left(files: list[Path], folder: Path) -> None:
    before = sorted(folder.iterdir())
    measure.measure(files, VARIANTS, ["fid"], CPU)
    assert sorted(folder.iterdir()) == before


def test_a_run_goes_on_where_it_was(files: list[Path], folder: Path) -> None:
    journal = folder / "out.json"
    first = measure.measure(files[:2], VARIANTS, ["psnr", "fid"], CPU, resume=journal)
    assert Quick.seen == 2 * 5
    assert len(list((folder / "out.features").iterdir())) == 2
    again = measure.measure(files, VARIANTS, ["psnr", "fid"], CPU, resume=journal)
    assert Quick.seen == 3 * 5
    assert again.sets != first.sets
    whole = measure.measure(files, VARIANTS, ["psnr", "fid"], CPU)
    for at, values in whole.sets.items():
        assert again.sets[at] == pytest.approx(values)


def test_a_quality_is_added(files: list[Path], folder: Path) -> None:
    journal = folder / "out.json"
    less = {name: (pipeline, qualities[:1]) for name, (pipeline, qualities) in VARIANTS.items()}
    measure.measure(files, less, ["psnr", "fid"], CPU, resume=journal)
    Quick.seen = 0
    grown = measure.measure(files, VARIANTS, ["psnr", "fid"], CPU, resume=journal)
    assert Quick.seen == 3 * 2  # the sources were seen before
    assert grown.sets == measure.measure(files, VARIANTS, ["psnr", "fid"], CPU).sets


@pytest.mark.parametrize("spoil", ["remove", "cut", "other"])
def test_pictures_whose_features_are_gone_are_measured_anew(
    files: list[Path], folder: Path, spoil: str
) -> None:
    journal = folder / "out.json"
    measure.measure(files, VARIANTS, ["fid"], CPU, resume=journal)
    [first, *_] = sorted((folder / "out.features").iterdir())
    if spoil == "remove":
        first.unlink()
    elif spoil == "cut":
        first.write_bytes(first.read_bytes()[:20])
    wanted = ["fid", "few"] if spoil == "other" else ["fid"]
    Quick.seen = 0
    measure.measure(files, VARIANTS, wanted, CPU, resume=journal)
    # the sources' own features of the first metric are known
    assert Quick.seen == (3 * (5 * 2 - 1) if spoil == "other" else 5)


def test_features_are_kept_in_full_precision(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path = tmp_path / "sub" / "abc"
    features.save_features(path, ["fid"], picture, {("plain", 10.0): picture}, CPU)
    both = [("plain", 10.0), ("plain", 20.0)]
    assert features.kept_points(path, ["fid"], both) == {("plain", 10.0)}
    assert features.kept_points(path, ["fid", "few"], both) == frozenset()
    features.save_features(path, ["fid"], picture, {("plain", 20.0): picture}, CPU)
    assert features.kept_points(path, ["fid"], both) == set(both)
    values, _ = features.distances([path], ["fid"], {"plain": [10.0]})
    assert values == {("plain", 10.0): {"fid": 0.0}}
