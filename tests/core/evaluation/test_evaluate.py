"""An evaluation compares a codec with itself plus gesso, on either side of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gesso import codec as codec_module
from gesso.cards import ModelCard
from gesso.codec import get_codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.evaluate import default_qualities, describe, evaluate, side_pipelines
from gesso.frame import Frame
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.runtime import Runtime
from gesso.target import Target

JPEG = get_codec("jpeg")
CPU = Runtime(device_name="cpu")
FIT = ("psnr", "lpips", "dists")  # which small pictures are large enough for


def smoothed(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
    """Stands in for a model: quick, deterministic, and it does change the picture."""
    return Frame.of(frame.restore().filter(ImageFilter.SMOOTH))


def untouched(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
    return frame


def test_the_document_has_the_stable_keys_and_every_metric(files: list[Path]) -> None:
    seen: list[tuple[Target, int]] = []

    def spy(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
        seen.append((target, options.seed))
        return smoothed(frame, target, options, runtime)

    options = EnhanceOptions(seed=5)
    report = evaluate(
        files[:1], JPEG, "enhance", [40, 10], FIT, options=options, runtime=CPU, treat=spy
    )
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    stable = ["codec", "side", "model", "images", "qualities", "points"]
    stable += ["bd_rate", "bd_metric", "seconds", "machine"]
    assert [key for key in document if key in stable] == stable
    assert (document["codec"], document["side"], document["model"]) == ("jpeg", "enhance", "spy")
    assert document["qualities"] == [10, 40]
    assert [(p["quality"], p["variant"]) for p in document["points"]] == [
        (q, v) for q in (10, 40) for v in ("plain", "gesso")
    ]
    for point in document["points"]:
        assert {"bpp", "psnr", "lpips", "dists"} < set(point)
    plain = {p["quality"]: p for p in document["points"] if p["variant"] == "plain"}
    assert plain[10]["bpp"] < plain[40]["bpp"]
    assert plain[10]["psnr"] < plain[40]["psnr"]
    assert plain[10]["lpips"] > plain[40]["lpips"]
    assert plain[10]["dists"] > plain[40]["dists"]
    assert document["bd_rate"] == {"psnr": None, "lpips": None, "dists": None}
    assert "2" in document["notes"]["lpips"]
    assert set(document["seconds"]) == {"encode", "decode", "gesso"}
    assert {"cpu", "threads", "torch", "device"} <= set(document["machine"])
    assert document["settings"]["seed"] == 5
    assert seen == [(Target("jpeg", 10), 5), (Target("jpeg", 40), 5)]


def test_the_files_own_coefficients_are_there_where_they_are_asked_for(files: list[Path]) -> None:
    seen: list[Target] = []

    def spy(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
        seen.append(target)
        return frame

    for faithful in (False, True):
        options = EnhanceOptions(faithful=faithful)
        evaluate(
            files[:1], JPEG, "enhance", [30], ["psnr"], options=options, runtime=CPU, treat=spy
        )
    assert [target.jpeg is not None for target in seen] == [False, True]


def test_an_operation_that_does_nothing_changes_no_rate(files: list[Path]) -> None:
    for side in ("preprocess", "enhance"):
        document = evaluate(
            files, JPEG, side, metrics=["psnr"], runtime=CPU, treat=untouched
        ).to_json()  # fmt: skip
        assert document["qualities"] == list(default_qualities(JPEG)) == [11, 16, 25, 39, 62]
        assert document["bd_rate"]["psnr"] == pytest.approx(0, abs=1e-9)
        assert document["bd_metric"]["psnr"] == pytest.approx(0, abs=1e-9)
        assert ("bpp" in document["notes"]) == (side == "enhance")


def test_an_enhancer_that_knows_the_source_saves_bits(files: list[Path]) -> None:
    source = np.asarray(Image.open(files[0]), dtype=np.float64)

    def halfway(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
        mixed = 0.3 * source + 0.7 * np.asarray(frame.restore(), dtype=np.float64)
        return Frame.of(Image.fromarray(np.rint(mixed).astype(np.uint8)))

    document = evaluate(files[:1], JPEG, metrics=FIT, runtime=CPU, treat=halfway).to_json()
    assert document["bd_metric"]["psnr"] == pytest.approx(-20 * np.log10(0.7), abs=0.1)
    assert document["bd_metric"]["lpips"] < 0
    assert document["bd_metric"]["dists"] < 0
    assert all(rate < -5 for rate in document["bd_rate"].values())


def test_a_blur_before_the_encoder_costs_fewer_bits_and_more_psnr(files: list[Path]) -> None:
    report = evaluate(files, JPEG, "preprocess", [60], ["psnr"], runtime=CPU, treat=smoothed)
    assert report.mean(60, "gesso", "bpp") < report.mean(60, "plain", "bpp")
    assert report.mean(60, "gesso", "psnr") < report.mean(60, "plain", "psnr")
    source = Image.open(files[0])
    expected = JPEG.encode(source.filter(ImageFilter.SMOOTH), 60)
    assert report.rows("gesso")[0].bytes == len(expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"side": "both"}, "no side 'both' to evaluate; there is preprocess, enhance, latent"),
        ({"metrics": ["nonesuch"]}, "no metric 'nonesuch'"),
        ({"qualities": [10, 101]}, "quality 101 is outside"),
        ({"qualities": []}, "no quality"),
        ({"files": []}, "no pictures"),
        ({"options": PreprocessOptions()}, "PreprocessOptions is not for side 'enhance'"),
        ({"side": "preprocess", "options": EnhanceOptions()}, "not for side 'preprocess'"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_coded(
    files: list[Path], arguments: dict[str, object], words: str
) -> None:
    def never(*_: object) -> Frame:
        raise AssertionError("nothing should be treated")

    given = {"files": files, "codec": JPEG, "runtime": CPU, "treat": never}
    with pytest.raises(InputError, match=words):
        evaluate(**{**given, **arguments})  # type: ignore[arg-type]


def test_a_missing_model_ends_the_evaluation(files: list[Path]) -> None:
    with pytest.raises(ModelError, match="no-such-prior"):
        evaluate(files, JPEG, options=EnhanceOptions(model="no-such-prior"), runtime=CPU)
    with pytest.raises(ModelError, match="no preprocessor"):
        evaluate(files, JPEG, "preprocess", options=PreprocessOptions("nobody"), runtime=CPU)


def test_the_cores_own_operation_runs_and_the_report_says_which_weights(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard("tiny", "prior", "a:b", files[0].parent, "w.safetensors", "ab" * 32)
    monkeypatch.setattr("gesso.evaluation.evaluate.get_model", lambda name, role: card)
    monkeypatch.setattr("gesso.enhancer.enhance_frame", smoothed)
    document = evaluate(files, JPEG, "enhance", [20], ["psnr"], runtime=CPU).to_json()
    assert document["model"] == "tiny"
    assert document["settings"]["sha256"] == "ab" * 32
    expected = evaluate(files, JPEG, "enhance", [20], ["psnr"], runtime=CPU, treat=smoothed)
    assert document["points"] == expected.to_json()["points"]


def test_settings_name_what_was_asked_for_or_what_answered() -> None:
    assert describe("enhance", EnhanceOptions(model="m"), smoothed)["model"] == "m"
    assert describe("preprocess", None, smoothed)["model"] == "smoothed"
    assert describe("enhance", None)["preset"] == "fast"


def test_the_two_pipelines_of_a_side(astronaut: Any) -> None:
    source = Image.fromarray(astronaut[:80, :120])
    plain, gesso = side_pipelines(JPEG, "enhance", None, CPU, smoothed)
    coded = gesso.finish(plain.code(source, 15))
    assert coded.decoded == JPEG.decode(JPEG.encode(source, 15))
    assert coded.picture == coded.decoded.filter(ImageFilter.SMOOTH)
    _, gesso = side_pipelines(JPEG, "preprocess", None, CPU, smoothed)
    assert gesso.run(source, 15).data == JPEG.encode(source.filter(ImageFilter.SMOOTH), 15)


class Scale:
    """A codec with a scale of its own."""

    name, extension = "scale", ".jpg"

    def __init__(self, worst: float, best: float) -> None:
        self.qualities = worst, best

    def encode(self, image: Image.Image, quality: float) -> bytes:
        worst, best = self.qualities
        return JPEG.encode(image, 10 + 90 * (quality - worst) / (best - worst))

    def decode(self, data: bytes) -> Image.Image:
        return JPEG.decode(data)

    def qp(self, quality: float) -> float:
        return quality


def test_a_scale_that_runs_the_other_way_is_ordered_from_worst_to_best(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Scale(50, 0)
    monkeypatch.setitem(codec_module._registry, "scale", codec)
    report = evaluate(files, codec, "enhance", None, ["psnr"], runtime=CPU, treat=untouched)
    assert report.qualities == (44, 41, 38, 35, 32)
    bits = [bpp for bpp, _ in report.curve("plain", "psnr")]
    assert bits == sorted(bits)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((1, 8), (1, 2, 3, 4, 5, 6, 7, 8)),
        ((3, 1), (3, 2, 1)),
        ((0.0, 1.0), (0.1, 0.2, 0.3, 0.45, 0.65)),
        ((100.0, 1.0), (44, 41, 38, 35, 32)),
        ((100.0, 200.0), (110, 120, 130, 145, 165)),
    ],
)
def test_default_qualities_suit_the_scale(
    ends: tuple[float, float], expected: tuple[float, ...]
) -> None:
    found = default_qualities(Scale(*ends))
    assert found == pytest.approx(expected, abs=1 / 512)


def test_options_reach_the_operation(files: list[Path]) -> None:
    seen: list[tuple[Any, Runtime | None]] = []

    def spy(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
        seen.append((options, runtime))
        return frame

    treat: Callable[..., Frame] = spy
    options = PreprocessOptions(strength=0.5)
    evaluate(files[:1], JPEG, "preprocess", [20], ["psnr"], options, CPU, treat=treat)
    assert seen == [(options, CPU)]
