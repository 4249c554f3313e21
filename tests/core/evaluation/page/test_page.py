"""One file, that runs and loads nothing but what it was written with."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from gesso.errors import InputError
from gesso.evaluation.page import Pair, render_page, save_page

EVIL = "</script><img src=x onerror=\"alert('x')\">&amp;<!--"


class Reader(HTMLParser):
    """What a browser would run and load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in ("meta", "link", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def policy(self) -> str:
        return next(a["content"] for t, a in self.tags if a.get("http-equiv"))


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_policy_admits_the_page_s_own_code_and_nothing_else(
    content: dict[str, Any], pair: Pair
) -> None:
    reader = Reader(render_page("title", content, [pair]))
    policy = reader.policy()
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy and "http" not in policy
    mark, _, script = reader.texts["script"]
    for code in (mark, script):
        assert f"'sha256-{digest(code)}'" in policy
    assert f"style-src 'sha256-{digest(reader.texts['style'][0])}'" in policy


def test_nothing_outside_the_page_is_named(content: dict[str, Any], pair: Pair) -> None:
    reader = Reader(render_page("title", content, [pair]))
    links = [v for _, a in reader.tags for k, v in a.items() if k in ("src", "href", "srcset")]
    assert links and all(link.startswith("data:") for link in links)
    assert not [a for _, a in reader.tags if any(key.startswith("on") for key in a)]
    assert "url(" not in reader.texts["style"][0] and "@import" not in reader.texts["style"][0]


def test_names_are_text_wherever_they_are_shown(content: dict[str, Any], pair: Pair) -> None:
    content |= {"codec": EVIL, "model": EVIL, "unreadable": {EVIL: EVIL}, "machine": {EVIL: EVIL}}
    content["points"] = [
        {**p, "variant": EVIL if p["variant"] == "gesso" else "plain"} for p in content["points"]
    ]
    evil = replace(pair, name=EVIL, caption_plain=EVIL, caption_gesso=EVIL)
    tame = [t for t, _ in Reader(render_page("x", content | {"codec": "y"}, [pair])).tags]
    page = render_page(EVIL, content, [evil])
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags] == tame
    assert "<img src=x" not in page and page.count("</script>") == 3
    assert html.escape(EVIL, quote=True)[:20] in page
    data = json.loads(reader.texts["script"][1])
    assert data["pairs"][0]["name"] == EVIL and data["series"][1]["name"] == EVIL


def test_the_tables_are_there_without_scripts(content: dict[str, Any], pair: Pair) -> None:
    reader = Reader(render_page("title", content, [pair]))
    cells = [text.strip() for text in reader.texts["td"]]
    for p in content["points"]:
        assert f"{p['psnr']:.2f}" in cells and f"{p['lpips']:.4f}" in cells
    assert "−0.10\xa0dB" in cells  # noqa: RUF001
    assert [t.strip() for t in reader.texts["figcaption"]] == [
        "one.png, source",
        "one.png, quality 10, plain: 100 bytes",
        "one.png, quality 10, gesso: 101 bytes",
    ]


def test_an_interrupted_run_and_pictures_left_out_are_told(content: dict[str, Any]) -> None:
    content |= {"complete": False, "unreadable": {"torn.png": "cannot be decoded"}}
    page = render_page("title", content, [])
    assert "This evaluation was interrupted" in page
    assert re.search(r"torn\.png</b> cannot be decoded", page)


def test_several_documents_make_one_page(content: dict[str, Any]) -> None:
    page = render_page("title", [content, {**content, "codec": "webp"}], [])
    assert page.count('<table class="points">') == 2
    assert 'id="viewer"' not in page


def test_a_page_takes_the_place_of_a_file_as_a_whole(
    content: dict[str, Any], pair: Pair, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    save_page(path, "title", content, [pair])
    assert path.read_text(encoding="utf-8") == render_page("title", content, [pair])
    with pytest.raises(InputError, match="no evaluation document"):
        save_page(path, "title", {"points": 3}, [])
    assert path.read_text(encoding="utf-8") == render_page("title", content, [pair])
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one evaluation document"):
        render_page("title", [], [])


def palette(dark: bool) -> dict[str, str]:
    style = resources.files("gesso.evaluation.page").joinpath("page.css").read_text("utf-8")
    light, rest = style.split("@media (prefers-color-scheme: dark)")
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6});", light))
    return colours | (dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6});", rest)) if dark else {})


def contrast(one: str, two: str) -> float:
    """WCAG 2.1, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_told_apart_from_the_paper(dark: bool) -> None:
    colours = palette(dark)
    for ground in ("paper", "card", "mat"):
        for text, least in (("ink", 7), ("dim", 4.5), ("better", 4.5), ("worse", 4.5)):
            assert contrast(colours[text], colours[ground]) >= least, (text, ground)
    for index in range(8):
        assert contrast(colours[f"s{index}"], colours["card"]) >= 3, index
    assert contrast(colours["pressed"], colours["press"]) >= 7
