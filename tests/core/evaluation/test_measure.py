"""Measuring codes real files, survives what it is given, and can be stopped and taken up."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gesso.codec import Codec, get_codec
from gesso.errors import InputError, ModelError
from gesso.evaluation import measure as module
from gesso.evaluation.measure import measure, metric_named
from gesso.evaluation.metrics import METRICS
from gesso.evaluation.pipeline import Coded, Pipeline
from gesso.evaluation.report import Report
from gesso.runtime import Runtime

JPEG = get_codec("jpeg")
CPU = Runtime(device_name="cpu")
Treatment = Callable[..., Any]


def smoothed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    """Stands in for a model: quick, deterministic, and it does change the picture."""
    return decoded.filter(ImageFilter.SMOOTH)


def variants(qualities: list[float], after: Treatment = smoothed) -> dict[str, Any]:
    plain, gesso = Pipeline("plain", JPEG), Pipeline("gesso", JPEG, after=after)
    return {"plain": (plain, qualities), "gesso": (gesso, qualities)}


def timeless(report: Report) -> dict[str, Any]:
    """The document without what differs between two equal runs."""
    document = report.to_json()
    for picture in document["pictures"]:
        for point in picture["points"]:
            del point["seconds"]
    for about in document["variants"].values():
        del about["seconds"]
    return {key: value for key, value in document.items() if key not in ("seconds", "machine")}


def test_figures_are_those_of_the_files_that_were_coded(files: list[Path]) -> None:
    report = measure(files, variants([20]), ["psnr"], CPU)
    sizes: list[float] = []
    plain: list[float] = []
    gesso: list[float] = []
    for file in files:
        source = Image.open(file)
        stream = io.BytesIO()
        source.save(stream, "JPEG", quality=20)
        decoded = Image.open(stream).convert("RGB")
        sizes.append(8 * len(stream.getvalue()) / (64 * 96))
        for values, picture in ((plain, decoded), (gesso, decoded.filter(ImageFilter.SMOOTH))):
            error = np.asarray(picture, dtype=float) - np.asarray(source, dtype=float)
            values.append(10 * np.log10(255**2 / (error**2).mean()))
    for variant, values in (("plain", plain), ("gesso", gesso)):
        rows = report.rows(variant)
        assert [row.values["psnr"] for row in rows] == pytest.approx(values, rel=1e-5)
        assert [row.bpp for row in rows] == pytest.approx(sizes)
        assert report.mean(20, variant, "psnr") == pytest.approx(np.mean(values), rel=1e-5)
    assert report.complete


def test_variants_of_one_codec_share_its_decode(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    coded: list[tuple[str, float]] = []
    original = Pipeline.code

    def spy(self: Pipeline, source: Image.Image, quality: float) -> Coded:
        coded.append((self.name, quality))
        return original(self, source, quality)

    monkeypatch.setattr(Pipeline, "code", spy)
    measure(files[:1], variants([10, 40]), ["psnr"], CPU)
    assert coded == [("plain", 10), ("plain", 40)]


def test_variants_may_have_codecs_and_qualities_of_their_own(files: list[Path]) -> None:
    webp = Pipeline("webp", get_codec("webp"))
    report = measure(
        files, {"plain": (Pipeline("plain", JPEG), [20, 40]), "webp": (webp, [5])}, ["psnr"], CPU
    )
    assert report.variants == {"plain": (20, 40), "webp": (5,)}
    assert [(row.variant, row.quality) for row in report.pictures[0].points] == [
        ("plain", 20),
        ("plain", 40),
        ("webp", 5),
    ]
    assert len(webp.run(Image.open(files[0]), 5).data) == report.rows("webp")[0].bytes


def test_files_that_cannot_be_used_are_named_and_the_rest_goes_on(folder: Path) -> None:
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:2000])
    names = ["a.png", "empty.png", "cut.png", "gone.png", "c.png"]
    report = measure([folder / name for name in names], variants([20]), ["psnr"], CPU)
    assert [p.file for p in report.pictures] == ["a.png", "c.png"]
    assert list(report.unreadable) == names[1:4]
    assert report.complete
    assert "not a picture" in report.unreadable["empty.png"]
    assert "No such file" in report.unreadable["gone.png"]


def test_pictures_too_small_for_a_metric_or_too_long_for_a_codec_are_named(folder: Path) -> None:
    Image.new("RGB", (20, 50)).save(folder / "d.png")
    report = measure(sorted(folder.glob("*.png")), variants([20]), ["lpips"], CPU)
    assert len(report.pictures) == 3
    assert "20 x 50" in report.unreadable["d.png"]
    Image.new("RGB", (16400, 1)).save(folder / "d.png")
    webp = {"plain": (Pipeline("plain", get_codec("webp")), [20])}
    report = measure(sorted(folder.glob("*.png")), webp, ["psnr"], CPU)
    assert "webp cannot code it" in report.unreadable["d.png"]


def test_no_usable_picture_is_an_error_that_names_the_first(files: list[Path]) -> None:
    files[0].write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 1 pictures.*a\.png: not a picture"):
        measure(files[:1], variants([20]), ["psnr"], CPU)


def test_a_missing_model_ends_it(files: list[Path]) -> None:
    def missing(*_: object) -> Image.Image:
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        measure(files, variants([20], missing), ["psnr"], CPU)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (["psnr", "nonesuch"], r"no metric 'nonesuch'.*psnr.*whole sets fid"),
        ([], "no metric asked for"),
        (["absent"], "the metric absent cannot be measured here: install it"),
    ],
)
def test_metrics_that_cannot_be_measured_are_named_before_anything_is_coded(
    files: list[Path], metrics: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(METRICS["psnr"], name="absent", missing=lambda: "install it")
    monkeypatch.setitem(METRICS, "absent", absent)

    def never(*_: object) -> Image.Image:
        raise AssertionError("nothing should be coded")

    with pytest.raises(InputError, match=words):
        measure(files, variants([20], never), metrics, CPU)


def test_metrics_of_pairs_and_of_sets_are_known_by_name(files: list[Path]) -> None:
    assert metric_named("psnr").label == "PSNR"
    assert metric_named("fid").label == "FID"
    report = measure(files, variants([20]), ["dists", "psnr"], CPU)
    assert list(report.lower_is_better.items()) == [("dists", True), ("psnr", False)]


def test_progress_counts_every_coding_and_ends_at_the_total(files: list[Path]) -> None:
    files[1].write_bytes(b"")
    calls: list[tuple[int, int]] = []
    measure(
        files, variants([10, 20]), ["psnr"], CPU,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    done = [d for d, _ in calls]
    assert {total for _, total in calls} == {12}
    assert done == sorted(done)
    assert {0, 1, 4, 9, 12} <= set(done)
    assert done[-1] == 12


def test_codings_can_be_kept(files: list[Path]) -> None:
    kept: dict[tuple[str, str, float], Coded] = {}
    report = measure(
        files[:1], variants([10, 20]), ["psnr"], CPU,
        keep=lambda name, one: kept.update({(name, one.pipeline, one.quality): one}),
    )  # fmt: skip
    assert set(kept) == {("a.png", v, q) for v in ("plain", "gesso") for q in (10, 20)}
    for row in report.pictures[0].points:
        assert len(kept["a.png", row.variant, row.quality].data) == row.bytes
    with pytest.raises(InputError, match="one process only; pass jobs=1"):
        measure(files, variants([10]), ["psnr"], CPU, keep=lambda *_: None, jobs=2)


@pytest.mark.usefixtures("spawnable")
def test_processes_find_what_one_process_finds(folder: Path, files: list[Path]) -> None:
    (folder / "bad.png").touch()
    files = sorted([*files, folder / "bad.png"])
    calls: list[tuple[int, int]] = []
    together = measure(
        files, variants([20]), ["psnr"], CPU, jobs=2,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert timeless(together) == timeless(measure(files, variants([20]), ["psnr"], CPU))
    assert [p.file for p in together.pictures] == ["a.png", "b.png", "c.png"]
    assert calls[-1] == (8, 8)


Stopping = Callable[[Treatment, int], Treatment]


def test_an_interrupted_run_is_taken_up_where_it_stopped(
    folder: Path, files: list[Path], stopping: Stopping
) -> None:
    journal = folder / "journal.json"

    def run(after: Treatment, resume: Path | None) -> dict[str, Any]:
        return timeless(
            measure(files, variants([10, 40], after), ["psnr"], CPU, codec="jpeg", resume=resume)
        )

    whole = run(smoothed, None)
    with pytest.raises(KeyboardInterrupt):
        run(stopping(smoothed, 3), journal)  # in the middle of the second picture
    left = json.loads(journal.read_text())
    assert [p["file"] for p in left["pictures"]] == ["a.png"]
    assert left["complete"] is False
    # two pictures of two qualities are left: a fifth call would stop it
    assert run(stopping(smoothed, 4), journal) == whole
    assert json.loads(journal.read_text())["complete"] is True
    assert run(stopping(smoothed, 0), journal) == whole


def test_a_killed_run_loses_no_more_than_a_moment(
    folder: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", -1.0)
    seen: list[int] = []

    def look(*arguments: Any) -> Image.Image:
        journal = folder / "journal.json"
        seen.append(len(json.loads(journal.read_text())["pictures"]) if journal.exists() else 0)
        return smoothed(*arguments)

    measure(files, variants([10], look), ["psnr"], CPU, resume=folder / "journal.json")
    assert seen == [0, 1, 2]


def test_resuming_knows_pictures_by_content_not_by_name(folder: Path, stopping: Stopping) -> None:
    journal = folder / "journal.json"
    first = measure([folder / "a.png"], variants([20]), ["psnr"], CPU, resume=journal)
    (folder / "a.png").rename(folder / "z.png")
    (folder / "b.png").rename(folder / "a.png")
    second = measure(
        [folder / "a.png", folder / "z.png"], variants([20], stopping(smoothed, 1)), ["psnr"],
        CPU, resume=journal,
    )  # fmt: skip
    assert [p.file for p in second.pictures] == ["a.png", "z.png"]
    assert second.pictures[1] == replace(first.pictures[0], file="z.png")
    assert second.pictures[0].points != first.pictures[0].points


def test_resuming_asks_anew_for_points_and_metrics_that_are_missing(
    folder: Path, files: list[Path], stopping: Stopping
) -> None:
    def run(qualities: list[float], metrics: list[str], calls: int) -> None:
        chosen = variants(qualities, stopping(smoothed, calls))
        measure(files[:1], chosen, metrics, CPU, resume=folder / "journal.json")

    run([10, 20], ["psnr", "dists"], calls=2)
    run([20], ["dists"], calls=0)
    run([20, 30], ["dists"], calls=1)
    with pytest.raises(KeyboardInterrupt):
        run([20, 30], ["psnr"], calls=0)


def test_a_variant_is_added(folder: Path, files: list[Path], stopping: Stopping) -> None:
    journal = folder / "journal.json"

    def run(journal: Path, second: int | None, **settings: str) -> dict[str, Any]:
        chosen = variants([10, 20], stopping(smoothed, 0 if second is not None else 99))
        if second is not None:
            again = replace(chosen["gesso"][0], after=stopping(smoothed, second))
            chosen = {**chosen, "again": (again, (10.0, 20.0))}
        return timeless(measure(files, chosen, ["psnr"], CPU, settings=settings, resume=journal))

    run(journal, None, gesso="a", model="m")
    first = json.loads(journal.read_text())["pictures"]
    with pytest.raises(KeyboardInterrupt):
        run(journal, 3, gesso="a", again="b", model="m")  # in the middle of the second picture
    # what was known of the others is still there
    left = json.loads(journal.read_text())
    assert [len(p["points"]) for p in left["pictures"]] == [6, 4, 4] and not left["complete"]
    added = run(journal, 4, gesso="a", again="b", model="m")
    document = json.loads(journal.read_text())
    assert [len(p["points"]) for p in document["pictures"]] == [6, 6, 6] and document["complete"]
    # even the times of what was there are the same
    assert [p["points"][:4] for p in document["pictures"]] == [p["points"] for p in first]
    for point in added["pictures"][0]["points"][4:]:
        other = added["pictures"][0]["points"][2 + (point["quality"] == 20)]
        assert point["values"] == other["values"]
    for settings in ({"gesso": "c", "again": "b"}, {"gesso": "a", "again": "c"}, {"gesso": "a"}):
        with pytest.raises(InputError, match="was measured with settings"):
            run(journal, 0, model="m", **settings)
    assert json.loads(journal.read_text()) == document


def test_settings_come_with_new_variants_alone(folder: Path, files: list[Path]) -> None:
    journal = folder / "journal.json"
    measure(files, variants([20]), ["psnr"], CPU, resume=journal)
    with pytest.raises(InputError, match=r"was measured with settings \{\}, not"):
        measure(files, variants([20]), ["psnr"], CPU, settings={"gesso": "a"}, resume=journal)


def test_resuming_with_other_settings_is_refused(folder: Path, files: list[Path]) -> None:
    journal = folder / "journal.json"
    measure(files, variants([20]), ["psnr"], CPU, settings={"seed": 1}, resume=journal)
    before = journal.read_bytes()
    with pytest.raises(InputError, match=r"journal\.json was measured with settings.*'seed': 1"):
        measure(files, variants([20]), ["psnr"], CPU, settings={"seed": 2}, resume=journal)
    assert journal.read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", '{"codec": ""}', "\xff"])
def test_resuming_from_what_is_no_report_is_refused(
    folder: Path, files: list[Path], content: str
) -> None:
    journal = folder / "journal.json"
    journal.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"journal\.json is no report to resume from"):
        measure(files, variants([20]), ["psnr"], CPU, resume=journal)
    assert journal.read_bytes() == content.encode("latin-1")


def test_a_report_that_cannot_be_written_is_named(folder: Path, files: list[Path]) -> None:
    with pytest.raises(InputError, match="no-such-folder"):
        measure(files, variants([20]), ["psnr"], CPU, resume=folder / "no-such-folder" / "r.json")
    assert not os.path.exists(folder / "no-such-folder")
