"""An evaluation codes real files, measures both sides and survives what it is given."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from gesso import codec as codec_module
from gesso.cards import ModelCard
from gesso.codec import get_codec
from gesso.errors import InputError, ModelError
from gesso.evaluation.evaluate import code, default_qualities, evaluate, read_picture
from gesso.frame import Frame
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime
from gesso.target import Target

JPEG = get_codec("jpeg")
CPU = Runtime(device_name="cpu")


def photograph(name: str) -> NDArray[Any]:
    return np.asarray(getattr(skimage.data, name)())


def smoothed(
    frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
) -> Frame:
    """Stands in for the model: quick, deterministic, and it does change the picture."""
    return Frame.of(frame.restore().filter(ImageFilter.SMOOTH))


def untouched(
    frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
) -> Frame:
    return frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, top in (("a", 0), ("b", 100), ("c", 200)):
        crop = photograph("astronaut")[top : top + 64, 150:246]
        Image.fromarray(crop).save(tmp_path / f"{name}.png")
    return tmp_path


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def test_figures_are_those_of_the_files_that_were_coded(folder: Path) -> None:
    report = evaluate(
        pictures(folder), JPEG, "enhance", [20], ["psnr"], runtime=CPU, enhancer=smoothed
    )
    sizes: list[float] = []
    plain: list[float] = []
    gesso: list[float] = []
    for file in pictures(folder):
        source = Image.open(file)
        stream = io.BytesIO()
        source.save(stream, "JPEG", quality=20)
        decoded = Image.open(stream).convert("RGB")
        sizes.append(8 * len(stream.getvalue()) / (64 * 96))
        for values, picture in ((plain, decoded), (gesso, decoded.filter(ImageFilter.SMOOTH))):
            error = np.asarray(picture, dtype=float) - np.asarray(source, dtype=float)
            values.append(10 * np.log10(255**2 / (error**2).mean()))
    document = report.to_json()
    assert document["images"] == 3
    assert document["points"] == [
        {
            "quality": 20,
            "variant": variant,
            "bpp": pytest.approx(np.mean(sizes)),
            "psnr": pytest.approx(np.mean(values), rel=1e-5),
        }
        for variant, values in (("plain", plain), ("gesso", gesso))
    ]
    assert [p.points[0].plain["psnr"] for p in report.pictures] == pytest.approx(plain, rel=1e-5)
    assert [p.points[0].gesso["psnr"] for p in report.pictures] == pytest.approx(gesso, rel=1e-5)


def test_the_document_has_the_stable_keys_and_every_metric(folder: Path) -> None:
    seen: list[tuple[Target | None, int]] = []

    def spy(
        frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
    ) -> Frame:
        seen.append((target, options.seed))
        return smoothed(frame, target, options, runtime)

    files = pictures(folder)[:1]
    options = EnhanceOptions(seed=5)
    report = evaluate(files, JPEG, qualities=[40, 10], options=options, runtime=CPU, enhancer=spy)
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    stable = ["codec", "side", "model", "images", "qualities", "points"]
    stable += ["bd_rate", "bd_metric", "seconds", "machine"]
    assert [key for key in document if key in stable] == stable
    assert (document["codec"], document["side"], document["model"]) == ("jpeg", "enhance", "spy")
    assert document["qualities"] == [10, 40]
    assert [p["variant"] for p in document["points"]] == ["plain", "gesso"] * 2
    for point in document["points"]:
        assert {"bpp", "psnr", "lpips", "dists"} < set(point)
    plain = {p["quality"]: p for p in document["points"] if p["variant"] == "plain"}
    assert plain[10]["bpp"] < plain[40]["bpp"]
    assert plain[10]["psnr"] < plain[40]["psnr"]
    assert plain[10]["lpips"] > plain[40]["lpips"]
    assert plain[10]["dists"] > plain[40]["dists"]
    assert document["bd_rate"] == {"psnr": None, "lpips": None, "dists": None}
    assert document["notes"]["lpips"] == "2 qualities; BD figures need 5 or more"
    assert set(document["seconds"]) == {"encode", "decode", "gesso"}
    assert {"cpu", "threads", "torch", "device"} <= set(document["machine"])
    assert document["settings"]["seed"] == 5
    assert seen == [(Target("jpeg", 10), 5), (Target("jpeg", 40), 5)]


def test_an_enhancer_that_does_nothing_changes_no_rate(folder: Path) -> None:
    report = evaluate(pictures(folder), JPEG, metrics=["psnr"], runtime=CPU, enhancer=untouched)
    document = report.to_json()
    assert document["qualities"] == list(default_qualities(JPEG)) == [11, 21, 31, 46, 65]
    assert document["bd_rate"]["psnr"] == pytest.approx(0, abs=1e-9)
    assert document["bd_metric"]["psnr"] == pytest.approx(0, abs=1e-9)
    assert list(document["notes"]) == ["bpp"]


def test_an_enhancer_that_knows_the_source_saves_bits(folder: Path) -> None:
    file = pictures(folder)[0]
    source = np.asarray(Image.open(file), dtype=np.float64)

    def halfway(
        frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
    ) -> Frame:
        mixed = 0.3 * source + 0.7 * np.asarray(frame.restore(), dtype=np.float64)
        return Frame.of(Image.fromarray(np.rint(mixed).astype(np.uint8)))

    report = evaluate([file], JPEG, runtime=CPU, enhancer=halfway)
    document = report.to_json()
    assert document["bd_metric"]["psnr"] == pytest.approx(-20 * np.log10(0.7), abs=0.1)
    assert document["bd_metric"]["lpips"] < 0
    assert document["bd_metric"]["dists"] < 0
    assert all(rate < -5 for rate in document["bd_rate"].values())


def test_files_that_cannot_be_used_are_named_and_the_rest_goes_on(folder: Path) -> None:
    good = Image.open(folder / "a.png")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:2000])
    good.convert("CMYK").save(folder / "print.jpg")
    good.convert("P").save(folder / "palette.png")
    Image.new("RGBA", (64, 64), (1, 2, 3, 128)).save(folder / "glass.png")
    bad = ["empty.png", "text.png", "cut.png", "print.jpg", "palette.png", "glass.png", "gone.png"]
    files = [folder / name for name in ["a.png", *bad, "c.png"]]
    report = evaluate(files, JPEG, "enhance", [20], ["psnr"], runtime=CPU, enhancer=untouched)
    assert [p.file for p in report.pictures] == ["a.png", "c.png"]
    assert list(report.unreadable) == bad
    assert report.complete
    for name, words in {
        "empty.png": "not a picture",
        "cut.png": "cannot be decoded",
        "print.jpg": "CMYK",
        "glass.png": "transparency",
        "gone.png": "No such file",
    }.items():
        assert words in report.unreadable[name]
    assert report.to_json()["unreadable"]["text.png"]


def test_a_picture_too_small_for_a_metric_is_named(folder: Path) -> None:
    Image.new("RGB", (20, 50)).save(folder / "d.png")
    report = evaluate(
        pictures(folder), JPEG, "enhance", [20], ["lpips"], runtime=CPU, enhancer=untouched
    )
    assert len(report.pictures) == 3
    assert "20 x 50" in report.unreadable["d.png"]


def test_a_picture_too_long_for_the_codec_is_named(folder: Path) -> None:
    Image.new("RGB", (16400, 1)).save(folder / "d.png")
    report = evaluate(
        pictures(folder), get_codec("webp"), "enhance", [20], ["psnr"], runtime=CPU,
        enhancer=untouched,
    )  # fmt: skip
    assert len(report.pictures) == 3
    assert "webp cannot code it" in report.unreadable["d.png"]


def test_no_usable_picture_is_an_error_that_names_the_first(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 1 pictures.*a\.png: not a picture"):
        evaluate([folder / "a.png"], JPEG, runtime=CPU, enhancer=untouched)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"side": "preprocess"}, "no side 'preprocess' to evaluate; there is enhance"),
        ({"metrics": ["ssim"]}, "no metric 'ssim'"),
        ({"qualities": [10, 101]}, "quality 101 is outside"),
        ({"qualities": []}, "no quality"),
        ({"files": []}, "no pictures"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_coded(
    folder: Path, arguments: dict[str, object], words: str
) -> None:
    def never(*_: object) -> Frame:
        raise AssertionError("nothing should be enhanced")

    given = {"files": pictures(folder), "codec": JPEG, "runtime": CPU, "enhancer": never}
    with pytest.raises(InputError, match=words):
        evaluate(**{**given, **arguments})  # type: ignore[arg-type]


def test_a_missing_model_ends_the_evaluation(folder: Path) -> None:
    with pytest.raises(ModelError, match="no-such-prior"):
        evaluate(pictures(folder), JPEG, options=EnhanceOptions(model="no-such-prior"), runtime=CPU)


def test_without_an_enhancer_the_cores_own_runs_and_the_report_says_which_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard("tiny", "prior", "a:b", folder, "w.safetensors", "ab" * 32)
    monkeypatch.setattr("gesso.evaluation.evaluate.get_model", lambda name, role: card)
    monkeypatch.setattr("gesso.enhancer.enhance_frame", smoothed)
    document = evaluate(pictures(folder), JPEG, "enhance", [20], ["psnr"], runtime=CPU).to_json()
    assert document["model"] == "tiny"
    assert document["settings"]["sha256"] == "ab" * 32
    expected = evaluate(
        pictures(folder), JPEG, "enhance", [20], ["psnr"], runtime=CPU, enhancer=smoothed
    )
    assert document["points"] == expected.to_json()["points"]


def test_progress_counts_every_coding_and_ends_at_the_total(folder: Path) -> None:
    (folder / "bad.png").touch()
    calls: list[tuple[int, int]] = []
    evaluate(
        pictures(folder), JPEG, "enhance", [10, 20], ["psnr"], runtime=CPU, enhancer=untouched,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    done = [d for d, _ in calls]
    assert {total for _, total in calls} == {8}
    assert done == sorted(done)
    assert {1, 3, 8} <= set(done)
    assert done[-1] == 8


def stopping(after: int) -> Callable[..., Frame]:
    calls = iter(range(after))

    def enhancer(
        frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
    ) -> Frame:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return smoothed(frame, target, options, runtime)

    return enhancer


def test_an_interrupted_run_is_taken_up_where_it_stopped(folder: Path) -> None:
    journal = folder / "journal.json"

    def run(enhancer: Callable[..., Frame], resume: Path | None) -> dict[str, object]:
        report = evaluate(
            pictures(folder), JPEG, "enhance", [10, 40], ["psnr"], EnhanceOptions(model="m"), CPU,
            resume=resume, enhancer=enhancer,
        )  # fmt: skip
        document = report.to_json()
        for picture in document["pictures"]:
            for point in picture["points"]:
                del point["seconds"]
        return {key: document[key] for key in document if key != "seconds"}

    whole = run(smoothed, None)
    with pytest.raises(KeyboardInterrupt):
        run(stopping(after=3), journal)  # in the middle of the second picture
    left = json.loads(journal.read_text())
    assert [p["file"] for p in left["pictures"]] == ["a.png"]
    assert left["complete"] is False
    # two pictures of two qualities are left: a fifth call would stop it
    assert run(stopping(after=4), journal) == whole
    assert json.loads(journal.read_text())["complete"] is True
    assert run(stopping(after=0), journal) == whole


def test_resuming_knows_pictures_by_content_not_by_name(folder: Path) -> None:
    journal = folder / "journal.json"
    arguments = (JPEG, "enhance", [20], ["psnr"], EnhanceOptions(model="m"), CPU)
    first = evaluate([folder / "a.png"], *arguments, resume=journal, enhancer=smoothed)
    (folder / "a.png").rename(folder / "z.png")
    (folder / "b.png").rename(folder / "a.png")
    files = [folder / "a.png", folder / "z.png"]
    second = evaluate(files, *arguments, resume=journal, enhancer=stopping(after=1))
    assert [p.file for p in second.pictures] == ["a.png", "z.png"]
    assert second.pictures[1] == replace(first.pictures[0], file="z.png")
    assert second.pictures[0].points != first.pictures[0].points


def test_resuming_asks_anew_for_qualities_and_metrics_that_are_missing(folder: Path) -> None:
    journal, files = folder / "journal.json", [folder / "a.png"]
    options = EnhanceOptions(model="m")

    def run(qualities: list[float], metrics: list[str], calls: int) -> None:
        evaluate(
            files, JPEG, "enhance", qualities, metrics, options, CPU,
            resume=journal, enhancer=stopping(after=calls),
        )  # fmt: skip

    run([10, 20], ["psnr", "dists"], calls=2)
    run([20], ["dists"], calls=0)
    run([20, 30], ["dists"], calls=2)
    with pytest.raises(KeyboardInterrupt):
        run([20, 30], ["psnr"], calls=0)


def test_resuming_with_other_settings_is_refused(folder: Path) -> None:
    journal, files = folder / "journal.json", pictures(folder)
    arguments = (JPEG, "enhance", [20], ["psnr"])
    evaluate(files, *arguments, EnhanceOptions(seed=1), CPU, resume=journal, enhancer=smoothed)
    before = journal.read_bytes()
    with pytest.raises(InputError, match=r"journal\.json was measured with settings.*'seed': 1"):
        evaluate(files, *arguments, EnhanceOptions(seed=2), CPU, resume=journal, enhancer=smoothed)
    assert journal.read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", '{"codec": "jpeg"}', "\xff"])
def test_resuming_from_what_is_no_report_is_refused(folder: Path, content: str) -> None:
    journal = folder / "journal.json"
    journal.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"journal\.json is no report to resume from"):
        evaluate(pictures(folder), JPEG, runtime=CPU, resume=journal, enhancer=smoothed)
    assert journal.read_bytes() == content.encode("latin-1")


def test_names_are_below_the_folder_that_all_files_share(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "b.png").rename(folder / "sub" / "a.png")
    files = [folder / "a.png", folder / "sub" / "a.png"]
    report = evaluate(files, JPEG, "enhance", [20], ["psnr"], runtime=CPU, enhancer=untouched)
    assert [p.file for p in report.pictures] == ["a.png", "sub/a.png"]


class Crf:
    """A codec whose scale runs the other way, as video coders' do."""

    name, extension, qualities = "crf", ".jpg", (50.0, 0.0)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        return JPEG.encode(image, 100 - 1.8 * quality)

    def decode(self, data: bytes) -> Image.Image:
        return JPEG.decode(data)

    def qp(self, quality: float) -> float:
        return quality


def test_a_scale_that_runs_the_other_way_is_ordered_from_worst_to_best(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(codec_module._registry, "crf", Crf())
    report = evaluate(
        pictures(folder), Crf(), "enhance", None, ["psnr"], runtime=CPU, enhancer=untouched
    )
    assert report.qualities == (45, 40, 35, 28, 18)
    bits = [bpp for bpp, _ in report.curve("plain", "psnr")]
    assert bits == sorted(bits)


def test_code_keeps_the_file_and_the_three_pictures() -> None:
    source = Image.fromarray(photograph("chelsea")[:80, :120])
    coded = code(source, JPEG, 15, ["psnr", "dists"], runtime=CPU, enhancer=smoothed)
    assert coded.plain == JPEG.decode(coded.data)
    assert coded.gesso == coded.plain.filter(ImageFilter.SMOOTH)
    assert coded.source is source
    assert coded.row.bytes == len(coded.data)
    assert coded.row.bpp == 8 * len(coded.data) / 9600
    assert list(coded.row.plain) == ["psnr", "dists"]
    assert (coded.codec, coded.row.quality) == ("jpeg", 15)


def test_code_names_a_mode_that_is_not_rgb() -> None:
    with pytest.raises(InputError, match=r"mode L .*convert\('RGB'\)"):
        code(Image.new("L", (64, 64)), JPEG, 15, ["psnr"], runtime=CPU, enhancer=smoothed)


def test_grey_and_opaque_pictures_are_read_as_rgb() -> None:
    grey = Image.fromarray(photograph("camera")[:40, :60])
    opaque = grey.convert("RGBA")
    for picture in (grey, opaque, grey.convert("LA")):
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        assert read_picture(stream.getvalue()) == grey.convert("RGB")
