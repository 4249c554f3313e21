"""Tables and curves say what the document says."""

from __future__ import annotations

from typing import Any

import pytest

from gesso.evaluation.document import Document
from gesso.evaluation.page.figures import chart, describe

Content = dict[str, Any]


def test_points_come_with_their_change_against_plain(content: Content) -> None:
    [first, *_] = describe(Document.of(content))["groups"]
    plain, gesso = first["rows"]
    assert (first["quality"], plain["variant"], plain["anchor"]) == ("10", "plain", True)
    assert [cell["text"] for cell in plain["cells"]] == ["0.300", "26.00", "0.4000"]
    assert [cell["change"] for cell in plain["cells"]] == ["", "", ""]
    cells = [(c["text"], c["change"].replace("\xa0", " "), c["tone"]) for c in gesso["cells"]]
    assert cells == [
        ("0.300", "", ""),
        ("25.90", "−0.10 dB", "worse"),  # noqa: RUF001
        ("0.3200", "−20.0 %", "better"),  # noqa: RUF001
    ]


def test_other_bits_are_told_with_their_change(content: Content) -> None:
    content["points"][1]["bpp"] = 0.27
    bits = describe(Document.of(content))["groups"][0]["rows"][1]["cells"][0]
    assert (bits["text"], bits["change"][:5], bits["tone"]) == ("0.270", "−10.0", "better")  # noqa: RUF001


def test_bjontegaard_figures_have_overlaps_and_tones(content: Content) -> None:
    psnr, lpips = describe(Document.of(content))["deltas"]
    assert psnr["change"]["text"] == "−0.10\xa0dB"  # noqa: RUF001
    assert (psnr["rate"]["tone"], lpips["rate"]["tone"]) == ("worse", "better")
    assert psnr["overlap_metric"] == lpips["overlap_metric"] == "100\xa0%"
    # gesso spans 0.072 to 0.32, plain 0.09 to 0.4
    assert lpips["overlap_rate"] == f"{100 * (0.32 - 0.09) / (0.4 - 0.072):.0f}\xa0%"


def test_too_few_points_are_told_once_instead_of_a_table(content: Content) -> None:
    content["points"] = content["points"][:6]
    about = describe(Document.of(content))
    assert about["deltas"] == []
    assert about["without"] == "3 points on a curve; BD figures need 4 or more"


def test_more_variants_are_all_held_to_the_first(content: Content) -> None:
    for p in [p for p in content["points"] if p["variant"] == "gesso"]:
        content["points"].append({**p, "variant": "peer", "lpips": 1.1 * p["lpips"] / 0.8})
    about = describe(Document.of(content))
    assert about["several"]
    assert [row["variant"] for row in about["deltas"]] == ["gesso", "gesso", "peer", "peer"]
    assert [row["variant"] for row in about["groups"][0]["rows"]] == ["plain", "gesso", "peer"]
    assert about["groups"][0]["rows"][2]["cells"][2]["change"] == "+10.0\xa0%"


def test_a_metric_that_a_variant_lacks_leaves_a_gap(content: Content) -> None:
    for p in content["points"]:
        if p["variant"] == "gesso":
            del p["lpips"]
    about = describe(Document.of(content))
    assert [row["metric"] for row in about["deltas"]] == ["PSNR"]
    assert about["groups"][0]["rows"][1]["cells"][2] == {"text": "\u2013", "change": "", "tone": ""}


def test_infinite_values_are_gaps_and_never_numbers(content: Content) -> None:
    content["points"][0]["psnr"] = None
    document = Document.of(content)
    assert describe(document)["groups"][0]["rows"][0]["cells"][1]["text"] == "\u2013"
    assert describe(document)["groups"][0]["rows"][1]["cells"][1]["change"] == ""
    assert chart([document])["series"][0]["points"][0]["values"]["psnr"] is None


def test_facts_leave_out_what_is_not_set_and_what_nobody_reads(content: Content) -> None:
    facts = dict(describe(Document.of(content))["facts"])
    assert facts["Settings"] == [("model", "prior"), ("preset", "medium")]
    assert facts["Time per picture"] == [("encode", "1.2 ms"), ("gesso", "7.25 s")]


def test_metrics_of_others_are_shown_under_their_own_names(content: Content) -> None:
    content["lower_is_better"] = {"niqe": True}
    for p in content["points"]:
        p["niqe"] = p.pop("lpips")
    about = describe(Document.of(content))
    assert [h["label"] for h in about["headings"]] == ["bpp", "niqe"]
    assert chart([Document.of(content)])["metrics"]["niqe"]["digits"] == 4


def test_curves_run_from_few_bits_to_many(content: Content) -> None:
    content["points"].reverse()
    series = chart([Document.of(content)])["series"]
    assert [(s["name"], s["anchor"]) for s in series] == [("gesso", True), ("plain", False)]
    for one in series:
        assert [p["bpp"] for p in one["points"]] == [0.3, 0.5, 0.65, 0.8, 1.1]


def test_curves_of_several_documents_carry_their_codec(content: Content) -> None:
    other = {**content, "codec": "webp"}
    series = chart([Document.of(content), Document.of(other)])["series"]
    names = ["jpeg: plain", "jpeg: gesso", "webp: plain", "webp: gesso"]
    assert [s["name"] for s in series] == names


@pytest.mark.parametrize("key", ["notes", "seconds", "machine", "settings", "unreadable", "images"])
def test_only_points_and_directions_are_needed(content: Content, key: str) -> None:
    del content[key]
    assert describe(Document.of(content))["groups"]


def test_remarks_are_told_but_not_twice(content: Content) -> None:
    content["notes"] = {"lpips": "few pictures", "bpp": "one file on both sides"}
    about = describe(Document.of(content))
    assert about["notes"] == ["LPIPS: few pictures.", "One file on both sides."]
    content["points"] = content["points"][:6]
    content["notes"]["psnr"] = "3 points on a curve; BD figures need 4 or more"
    assert len(describe(Document.of(content))["notes"]) == 2


def test_a_walk_over_tradeoffs_is_named_as_one(content: Content) -> None:
    content["scale"] = "tradeoff"
    document = Document.of(content)
    about = describe(document)
    assert about["scale"] == chart([document])["scale"] == "tradeoff"
    assert any(fact.endswith(" tradeoffs") for fact in about["lede"])


def test_points_differ_by_quality_unless_the_document_says_otherwise(content: Content) -> None:
    for scale in (None, "nonesuch"):
        content["scale"] = scale
        assert describe(Document.of(content))["scale"] == "quality"
