"""Two ways from distortion to perception, with the same ends, in the order of the tradeoff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter

from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.evaluation.measure import measure
from gesso.evaluation.page import render_page
from gesso.evaluation.traversal import Traversal, traversal_pipelines
from gesso.frame import Frame
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime
from gesso.target import Target

JPEG = get_codec("jpeg")
CPU = Runtime(device_name="cpu")
seen: list[float] = []


def blurred(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
    """Stands in for a model: the more of it, the further from the decode."""
    seen.append(options.tradeoff)
    blur = ImageFilter.GaussianBlur(2 * options.tradeoff**2)
    return Frame.of(frame.restore().filter(blur))


def travelled(files: list[Path], steps: tuple[float, ...], **options: Any) -> Traversal:
    seen.clear()
    pipelines = traversal_pipelines(JPEG, steps, EnhanceOptions(**options), CPU, blurred)
    variants = {name: (pipeline, [20]) for name, pipeline in pipelines.items()}
    settings = {"model": "blur", "preset": "medium"}
    report = measure(
        files, variants, ["psnr", "ssim"], CPU, codec="jpeg", side="enhance", settings=settings
    )
    return Traversal(**vars(report))


def test_both_ways_share_their_ends_and_part_between(files: list[Path]) -> None:
    points = travelled(files, (0.75, 0.25), posterior_mean=False).operating_points()
    assert [(p.tradeoff, p.way) for p in points] == [
        (0, "noise"), (0, "interpolation"), (0, "plain"), (0.25, "noise"),
        (0.25, "interpolation"), (0.75, "noise"), (0.75, "interpolation"), (1, "noise"),
        (1, "interpolation"),
    ]  # fmt: skip
    at = {(p.tradeoff, p.way): p.values["psnr"] for p in points}
    assert at[0, "noise"] == at[0, "interpolation"] == at[0, "plain"]
    assert at[1, "noise"] == at[1, "interpolation"] < at[0, "plain"]
    assert at[0.25, "noise"] != at[0.25, "interpolation"]
    assert len({p.bpp for p in points}) == 1
    # the ends were made once a picture, for both ways
    assert sorted(seen) == [0] * 3 + [0.25] * 3 + [0.75] * 3 + [1] * 3


def test_the_end_of_least_distortion_is_the_estimate_where_there_is_one(files: list[Path]) -> None:
    travelled(files[:1], (), posterior_mean=True)
    assert len(seen) == 2 and 0 < seen[0] < 0.02 and seen[1] == 1


def test_interpolation_is_that_of_the_ends(files: list[Path]) -> None:
    source = Image.open(files[0]).convert("RGB")
    pipelines = traversal_pipelines(JPEG, [0.5], EnhanceOptions(), CPU, blurred)
    low, high, middle = (
        pipelines[name].run(source, 20).picture.getpixel((40, 30))
        for name in ("noise 0", "noise 1", "interpolation 0.5")
    )
    for a, b, c in zip(low, high, middle, strict=True):
        assert abs(c - (a + b) / 2) <= 0.5


def test_the_document_holds_the_points_and_the_page_draws_them(files: list[Path]) -> None:
    traversal = travelled(files, (0.5,), posterior_mean=False)
    document = json.loads(json.dumps(traversal.to_json(), allow_nan=False))
    assert [point["tradeoff"] for point in document["traversal"]] == [0, 0, 0, 0.5, 0.5, 1, 1]
    assert len(document["pictures"]) == 3  # so that it can be resumed
    html = render_page("ways", traversal.page(), [])
    [content] = [json.loads(part.split("</script>")[0]) for part in html.split('id="content">')[1:]]
    assert content["scale"] == "tradeoff"
    ways = {series["name"]: series for series in content["series"]}
    assert list(ways) == ["noise", "interpolation", "plain"]
    assert [point["quality"] for point in ways["noise"]["points"]] == [0, 0.5, 1]
    for point, drawn in zip(document["traversal"][::3], ways["noise"]["points"], strict=False):
        assert point["values"]["psnr"] == drawn["values"]["psnr"]
    # bits tell nothing apart here, so there are no figures of curves over them
    assert "Tradeoff</th>" in html and "ntegaard figures" not in html
    assert "jpeg, quality 20" in html and "3 tradeoffs" in html


def test_a_tradeoff_out_of_range_is_named() -> None:
    with pytest.raises(InputError, match="tradeoff must be a number in"):
        traversal_pipelines(JPEG, [1.5], EnhanceOptions(), CPU, blurred)
