"""Evaluation documents: what is read, and what is said of those that cannot be."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from gesso.errors import InputError
from gesso.evaluation.document import Document, same_pictures

CONTENT: dict[str, Any] = {
    "codec": "jpeg",
    "images": 2,
    "points": [
        {"quality": 10, "variant": "plain", "bpp": 0.3, "psnr": 26.0, "lpips": 0.4},
        {"quality": 10, "variant": "gesso", "bpp": 0.3, "psnr": 25.9, "lpips": 0.3},
        {"quality": 20, "variant": "plain", "bpp": 0.5, "psnr": None, "lpips": 0.2},
        {"quality": 20, "variant": "gesso", "bpp": 0.5, "psnr": 28.0},
    ],
    "lower_is_better": {"psnr": False, "lpips": True},
    "pictures": [{"sha256": "a"}, {"sha256": "b"}],
}


def changed(**changes: Any) -> Document:
    return Document.of({**copy.deepcopy(CONTENT), **changes})


def test_curves_come_by_variant_and_metric() -> None:
    document = Document.of(CONTENT)
    assert document.variants == ("plain", "gesso")
    assert document.curve("gesso", "psnr") == [(0.3, 25.9), (0.5, 28.0)]
    bits, psnr = document.curve("plain", "psnr")[1]
    assert bits == 0.5 and math.isnan(psnr)


def test_a_variant_has_a_metric_when_all_its_points_have() -> None:
    document = Document.of(CONTENT)
    assert document.has("plain", "lpips")
    assert not document.has("gesso", "lpips")
    assert not document.has("nobody", "psnr")


def test_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text(json.dumps(CONTENT))
    assert Document.read(path) == Document.of(CONTENT, str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no JSON document"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "no JSON document"),
        (b"[]", "no evaluation document"),
        (b"null", "no evaluation document"),
        (b'{"points": []}', "KeyError: 'lower_is_better'"),
        (b'{"points": [], "lower_is_better": {}}', "holds no point"),
        (b'{"points": [{"variant": "plain"}], "lower_is_better": {}}', "KeyError: 'quality'"),
        (
            b'{"points": [{"variant": "a", "quality": "x", "bpp": 1}], "lower_is_better": {}}',
            "ValueError",
        ),
    ],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"bad\.json") as caught:
        Document.read(path)
    assert reason in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read: .*; check the path"):
        Document.read(tmp_path / "none.json")


def test_pictures_are_the_same_by_content_whatever_their_order() -> None:
    document = Document.of(CONTENT)
    turned = changed(pictures=CONTENT["pictures"][::-1])
    other = changed(pictures=[{"sha256": "a"}, {"sha256": "c"}])
    assert same_pictures(document, turned)
    assert not same_pictures(document, other)
    assert same_pictures(document, changed(pictures=[]))
    assert not same_pictures(document, changed(pictures=[], images=3))
